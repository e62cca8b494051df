import type { PlannedService, PlannedTask } from "@creel/shared";
import { type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { byAge } from "../loops/slots.ts";
import { isLive, type StoreView, type TaskRecord } from "../store/mod.ts";

/** What became of the services that are not as they were: each task once, by its place. */
export function differences(before: StoreView, after: StoreView): PlannedService[] {
  const ids = new Set([...before.services(), ...after.services()].map(({ id }) => id));
  const found: PlannedService[] = [];
  for (const id of ids) {
    const [was, is] = [before.service(id), after.service(id)];
    const change = !was ? "create" : !is ? "remove" : was.spec === is.spec ? "none" : "update";
    const tasks = taskDifferences(before, after, id);
    if (change === "none" && tasks.every(({ action }) => action === "keep")) continue;
    found.push({ id, name: nameOf((is ?? was)!), change, tasks });
  }
  return found;
}

/** Tasks that have no place though one is wanted. */
export function unplaced(view: StoreView): TaskRecord[] {
  return view.recordsInState(TaskState.TASK_STATE_PENDING).filter((task) => isLive(task) && task.err !== "");
}

export function nameOf(service: Service): string {
  return service.spec?.name ?? service.id;
}

function taskDifferences(before: StoreView, after: StoreView, serviceId: string): PlannedTask[] {
  const known = new Set(before.recordsOfService(serviceId).map((task) => task.id));
  const now = places(before.recordsOfService(serviceId), isLive);
  const then = places(
    after.recordsOfService(serviceId),
    (task) => isLive(task) || (isDone(task) && !known.has(task.id)),
  );
  // a job's tasks that run now are done in the end: they are let be
  const ended = new Set(
    after
      .recordsOfService(serviceId)
      .filter(isDone)
      .map((task) => task.id),
  );
  const tasks: PlannedTask[] = [];
  for (const key of new Set([...now.keys(), ...then.keys()])) {
    const was = now.get(key);
    const is = then.get(key) ?? (was && ended.has(was.id) ? was : undefined);
    tasks.push(compare(was, is));
  }
  return tasks.sort((a, b) => a.slot - b.slot);
}

function isDone(task: TaskRecord): boolean {
  return task.state === TaskState.TASK_STATE_COMPLETE;
}

/** The newest of these tasks in each slot, or on each node where there are no slots. */
function places(tasks: TaskRecord[], counts: (task: TaskRecord) => boolean): Map<string, TaskRecord> {
  const found = new Map<string, TaskRecord>();
  for (const task of tasks.filter(counts).sort(byAge)) {
    found.set(task.slot > 0 ? `${task.slot}` : task.nodeId, task);
  }
  return found;
}

function compare(was: TaskRecord | undefined, is: TaskRecord | undefined): PlannedTask {
  const [from, to] = [was?.nodeId ?? "", is?.nodeId ?? ""];
  const waits = is?.state === TaskState.TASK_STATE_PENDING && is.err !== "";
  return {
    action: waits ? "wait" : action(was, is, from, to),
    slot: (is ?? was)!.slot,
    taskId: was?.id ?? "",
    nodeId: waits ? "" : to,
    fromNodeId: from,
    reason: waits ? is.err : "",
  };
}

function action(
  was: TaskRecord | undefined,
  is: TaskRecord | undefined,
  from: string,
  to: string,
): PlannedTask["action"] {
  if (!is) return "stop";
  if (!was || from === "") return "create";
  if (was.id === is.id) return "keep";
  return from === to ? "replace" : "move";
}
