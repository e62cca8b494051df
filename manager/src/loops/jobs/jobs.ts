import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { fitsSpec } from "../../scheduler/mod.ts";
import { isWanted, type StoreView, type TaskRecord } from "../../store/mod.ts";
import { cause, createTasks, setDesiredState } from "../actions.ts";
import { fillSlots } from "../fill.ts";
import type { Loop, LoopContext } from "../loop.ts";
import { takesTasks } from "../node-fitness.ts";
import { endedByItself, mayRestart } from "../restart-policy.ts";
import { isJob, slotsOf, touchedServices } from "../slots.ts";

/**
 * Runs each job to its end once for every iteration: so many completions in all, so many tasks at a time, or one on each
 * node. A task that completed stays wanted and is kept; one that failed is followed by the restart loop.
 */
export const jobs: Loop = (view, changed, context) => {
  const nodesChanged = changed.full || changed.nodes.size > 0;
  const services = nodesChanged
    ? view.services()
    : [...touchedServices(view, changed)].flatMap((id) => view.service(id) ?? []);
  return { actions: services.filter(isJob).flatMap((service) => keep(view, service, context)) };
};

function keep(view: StoreView, service: Service, context: LoopContext): Action[] {
  const all = slotsOf(view, service);
  const outdated = [...all.values()].flat().filter((t) => isWanted(t) && !isCurrent(service, t));
  const mode = service.spec!.mode!;
  return [
    ...setDesiredState(
      outdated.map((t) => t.id),
      TaskState.TASK_STATE_SHUTDOWN,
      cause(CauseKind.CAUSE_UPDATE),
    ),
    ...(mode.$case === "replicatedJob"
      ? keepCount(service, all as Map<number, TaskRecord[]>, mode.value, context)
      : keepNodes(view, service, all as Map<string, TaskRecord[]>, context)),
  ];
}

function keepCount(
  service: Service,
  all: Map<number, TaskRecord[]>,
  { totalCompletions, maxConcurrent }: { totalCompletions: number; maxConcurrent: number },
  context: LoopContext,
): Action[] {
  const surplus: string[] = [];
  let active = 0;
  for (const [slot, tasks] of all) {
    const atWork = tasks.filter((t) => isAtWork(t) && isCurrent(service, t));
    if (slot >= totalCompletions) surplus.push(...atWork.map((t) => t.id));
    else if (atWork.length > 0) active++;
  }
  const free: number[] = [];
  for (let slot = 0; slot < totalCompletions && active + free.length < maxConcurrent; slot++) {
    const tasks = all.get(slot) ?? [];
    if (!isBusyOrDone(service, tasks, context.now)) free.push(slot);
  }
  return [
    ...setDesiredState(surplus, TaskState.TASK_STATE_SHUTDOWN, cause(CauseKind.CAUSE_MODE)),
    ...fillSlots(service, free, (slot) => all.get(slot)?.filter((t) => isCurrent(service, t)), context),
  ];
}

function keepNodes(
  view: StoreView,
  service: Service,
  all: Map<string, TaskRecord[]>,
  { now, newId }: LoopContext,
): Action[] {
  const create: NewTask[] = [];
  for (const node of view.nodes()) {
    if (!takesTasks(node) || !fitsSpec(service.spec!.task!, node)) continue;
    if (isBusyOrDone(service, all.get(node.id) ?? [], now)) continue;
    create.push({ id: newId(), slot: 0, nodeId: node.id, desiredState: TaskState.TASK_STATE_RUNNING });
  }
  return createTasks(service.id, create, cause(CauseKind.CAUSE_MODE));
}

/** A task of this iteration is at work in the slot, has completed there, or failed and is not to be followed. */
function isBusyOrDone(service: Service, slot: TaskRecord[], now: number): boolean {
  const tasks = slot.filter((t) => isCurrent(service, t));
  if (tasks.some((t) => isAtWork(t) || t.state === TaskState.TASK_STATE_COMPLETE)) return true;
  const last = tasks.at(-1);
  return last !== undefined && endedByItself(last) && !mayRestart(service, tasks, last, now);
}

/** Also one that failed and that the restart loop has yet to follow. */
function isAtWork(task: TaskRecord): boolean {
  return isWanted(task) && task.state !== TaskState.TASK_STATE_COMPLETE;
}

function isCurrent(service: Service, task: TaskRecord): boolean {
  return task.specVersion === service.specVersion;
}
