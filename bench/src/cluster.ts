import { setTimeout as delay } from "node:timers/promises";
import type { Rest } from "../../tools/src/rest.ts";

const LIMIT_MS = 120_000;
/** Asking costs the daemon as much as answering: not too often. */
const POLL_MS = 40;

/** A task of a service; what benches look at. */
export interface Task {
  ID: string;
  DesiredState: string;
  Status: { State: string; Err?: string; ContainerStatus?: { ContainerID: string } };
  NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

/** The tasks of a service. */
export function tasksOf(rest: Rest, service: string): Promise<Task[]> {
  return rest.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`);
}

/** Its address on a network. */
export function addressOf(task: Task, network: string): string {
  const attachment = task.NetworksAttachments?.find((each) => each.Network.Spec.Name === network);
  const address = attachment?.Addresses[0]?.split("/")[0];
  if (address === undefined) throw new Error(`task ${task.ID} has no address on ${network}`);
  return address;
}

/** Asks until there is an answer, two minutes at most. */
export async function poll<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const until = Date.now() + LIMIT_MS;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
    await delay(POLL_MS);
  }
}

/** A service of one replica. */
export interface ServiceOptions {
  name: string;
  image: string;
  args?: string[];
  network: string;
  /** The host it runs on. */
  node?: string;
  /** A port that all nodes publish, which leads to 8080. */
  publish?: number;
}

/** Creates the service; its id. */
export async function createService(rest: Rest, options: ServiceOptions): Promise<string> {
  const { name, image, args = [], network, node, publish } = options;
  const { ID } = await rest.post<{ ID: string }>("/services/create", {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: image, Args: args },
      Networks: [{ Target: network }],
      ...(node && { Placement: { Constraints: [`node.hostname==${node}`] } }),
    },
    Mode: { Replicated: { Replicas: 1 } },
    ...(publish && {
      EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 8080, PublishedPort: publish }] },
    }),
  });
  return ID;
}

/** The service's one task, once it runs. */
export function runningTask(rest: Rest, service: string): Promise<Task> {
  return poll("the first task", async () =>
    (await tasksOf(rest, service)).find((task) => task.Status.State === "running"),
  );
}
