import { setTimeout as delay } from "node:timers/promises";
import type { Rest } from "../rest.ts";

/** A task as the REST API tells it; what the demonstration looks at. */
export interface TaskView {
  ID: string;
  ServiceID: string;
  NodeID: string;
  Slot: number;
  DesiredState: string;
  Status: { State: string; Err?: string; Message?: string };
}

interface ServiceView {
  ID: string;
  Version: { Index: number };
  Spec: { Mode: { Replicated: { Replicas: number } } };
}

/** Creates a service of `replicas` with one port published by the routing mesh; its id. */
export async function createService(
  rest: Rest,
  { name, image, replicas, port }: { name: string; image: string; replicas: number; port: number },
): Promise<string> {
  const { ID } = await rest.post<{ ID: string }>("/services/create", {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: image, Env: ["TASK={{.Task.Name}}", "NODE={{.Node.Hostname}}"] },
    },
    Mode: { Replicated: { Replicas: replicas } },
    EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: port }] },
  });
  return ID;
}

/** Sets the number of replicas. */
export async function scaleService(rest: Rest, id: string, replicas: number): Promise<void> {
  const service = await rest.get<ServiceView>(`/services/${id}`);
  service.Spec.Mode.Replicated.Replicas = replicas;
  await rest.post(`/services/${id}/update?version=${service.Version.Index}`, service.Spec);
}

/** The tasks of a service that are wanted. */
export async function wantedTasks(rest: Rest, id: string): Promise<TaskView[]> {
  const filters = encodeURIComponent(JSON.stringify({ service: [id], "desired-state": ["running"] }));
  return await rest.get<TaskView[]>(`/tasks?filters=${filters}`);
}

/** Resolves when `replicas` tasks run; rejects after `within` ms with what the tasks say of themselves. */
export async function converged(
  rest: Rest,
  id: string,
  replicas: number,
  signal?: AbortSignal,
  within = 60_000,
): Promise<void> {
  const until = Date.now() + within;
  for (;;) {
    const tasks = await wantedTasks(rest, id);
    if (tasks.filter((task) => task.Status.State === "running").length === replicas) return;
    if (signal?.aborted) throw new Error("interrupted");
    if (Date.now() > until) {
      const states = tasks
        .map((task) => `${task.Slot}: ${task.Status.State} ${task.Status.Err ?? ""}`.trim())
        .join("; ");
      throw new Error(
        `the service has not ${replicas} running replicas after ${within / 1000} s (${states})`,
      );
    }
    await delay(50);
  }
}
