import type { Secret, Service } from "../cluster.ts";
import { TaskState } from "../cluster.ts";
import { fromMillis } from "../http/time.ts";
import type { ClusterView } from "../ports.ts";
import { toServiceStatus } from "./service.ts";

type Json = Record<string, unknown>;

/** How the last rotation of a secret or config goes, with the services that name it. */
export function toRotation(object: Secret, word: "secret" | "config", view: ClusterView): Json {
  const { rotation } = object;
  return {
    ID: object.id,
    Name: object.spec?.name,
    Revision: object.revision,
    From: rotation?.from,
    To: rotation?.to,
    State: rotation?.state ?? "",
    Message: rotation?.message || undefined,
    StartedAt: rotation && fromMillis(rotation.startedAt),
    CompletedAt: rotation?.completedAt ? fromMillis(rotation.completedAt) : undefined,
    Services: view
      .services()
      .filter((service) => revisionIn(service, object.id, word) !== undefined)
      .map((service) => toProgress(service, revisionIn(service, object.id, word)!, view)),
  };
}

function toProgress(service: Service, revision: number, view: ClusterView): Json {
  const tasks = view.tasksOfService(service.id);
  const updated = tasks.filter(
    (task) =>
      task.specVersion === service.specVersion &&
      task.desiredState === TaskState.TASK_STATE_RUNNING &&
      task.status?.state === TaskState.TASK_STATE_RUNNING,
  );
  return {
    ID: service.id,
    Name: service.spec?.name,
    Revision: revision,
    UpdateState: service.updateStatus?.state || undefined,
    UpdatedTasks: updated.length,
    DesiredTasks: toServiceStatus(service, tasks, () => false).DesiredTasks,
  };
}

function revisionIn({ spec }: Service, id: string, word: "secret" | "config"): number | undefined {
  const container = spec?.task?.container;
  const refs = word === "secret" ? container?.secrets : container?.configs;
  return refs?.find((ref) => ref.id === id)?.revision;
}
