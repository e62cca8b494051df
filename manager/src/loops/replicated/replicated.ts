import type { Millis } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isWanted, type StoreView, type TaskRecord } from "../../store/mod.ts";
import { cause, setDesiredState } from "../actions.ts";
import { fillSlots } from "../fill.ts";
import type { Loop, LoopContext } from "../loop.ts";
import { isUnfit } from "../node-fitness.ts";
import { endedByItself, mayRestart } from "../restart-policy.ts";
import { isReplicated, servicesWithTurns, slotsOf } from "../slots.ts";

/** Keeps as many slots filled as the service has replicas. */
export const replicated: Loop = (view, changed, context) => {
  const actions: Action[] = [];
  for (const id of servicesWithTurns(view, changed)) {
    const service = view.service(id);
    if (service && isReplicated(service)) actions.push(...keep(view, service, context));
  }
  return { actions };
};

function keep(view: StoreView, service: Service, context: LoopContext): Action[] {
  const mode = service.spec!.mode!;
  const replicas = mode.$case === "replicated" ? mode.value.replicas : 0;
  const filled = new Map<number, TaskRecord[]>();
  const empty = new Map<number, TaskRecord[]>();
  for (const [slot, tasks] of slotsOf(view, service)) {
    if (isFilled(service, tasks, context.now)) filled.set(slot as number, tasks);
    else empty.set(slot as number, tasks);
  }

  if (filled.size < replicas) {
    const slots = freeSlots(filled, replicas - filled.size);
    return fillSlots(service, slots, (slot) => empty.get(slot), context);
  }
  const surplus = filled.size > replicas ? pickSurplus(filled, filled.size - replicas) : [];
  const remove = [...[...empty.values()].flat(), ...surplus.flatMap((slot) => filled.get(slot)!)]
    .filter((t) => t.desiredState < TaskState.TASK_STATE_REMOVE)
    .map((t) => t.id);
  for (const slot of surplus) filled.delete(slot);
  return [
    ...setDesiredState(remove, TaskState.TASK_STATE_REMOVE, cause(CauseKind.CAUSE_MODE)),
    ...setDesiredState(doubles(view, filled), TaskState.TASK_STATE_SHUTDOWN, cause(CauseKind.CAUSE_SURPLUS)),
  ];
}

/** A task is wanted there, or the last one came to its end and is not to be followed by another. */
function isFilled(service: Service, slot: TaskRecord[], now: Millis): boolean {
  if (slot.some(isWanted)) return true;
  const last = slot.at(-1)!;
  return (
    last.desiredState === TaskState.TASK_STATE_SHUTDOWN &&
    last.specVersion === service.specVersion &&
    endedByItself(last) &&
    !mayRestart(service, slot, last, now)
  );
}

/** The lowest slots that are not filled. */
function freeSlots(filled: Map<number, unknown>, count: number): number[] {
  const slots: number[] = [];
  for (let slot = 1; slots.length < count; slot++) if (!filled.has(slot)) slots.push(slot);
  return slots;
}

/** Slots to give up: first those that do not run, then from the nodes with most of the service, the youngest first. */
function pickSurplus(filled: Map<number, TaskRecord[]>, count: number): number[] {
  const perNode = new Map<string, number>();
  const ranked = [...filled]
    .map(([slot, tasks]) => ({ slot, running: tasks.find(isRunning) }))
    .sort((a, b) => a.slot - b.slot)
    .map(({ slot, running }) => {
      const crowd = running ? (perNode.get(running.nodeId) ?? 0) + 1 : 0;
      if (running) perNode.set(running.nodeId, crowd);
      return { slot, rank: running ? crowd : Number.MAX_SAFE_INTEGER };
    });
  ranked.sort((a, b) => b.rank - a.rank || b.slot - a.slot);
  return ranked.slice(0, count).map(({ slot }) => slot);
}

/** Second running tasks of a slot: a drain was called off after its replacement had come up. */
function doubles(view: StoreView, filled: Map<number, TaskRecord[]>): string[] {
  const ids: string[] = [];
  for (const tasks of filled.values()) {
    if (tasks.length < 2) continue;
    const running = tasks.filter((t) => isRunning(t) && !isUnfit(view.node(t.nodeId)));
    for (const task of running.slice(0, -1)) ids.push(task.id);
  }
  return ids;
}

function isRunning(task: TaskRecord): boolean {
  return isWanted(task) && task.state === TaskState.TASK_STATE_RUNNING;
}
