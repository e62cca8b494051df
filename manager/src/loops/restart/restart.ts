import type { Millis } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { type Cause, CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import {
  type ChangeSet,
  isFinished,
  isLive,
  isWanted,
  type StoreView,
  type TaskRecord,
} from "../../store/mod.ts";
import { cause, createTasks, setDesiredState } from "../actions.ts";
import type { Loop, LoopContext } from "../loop.ts";
import { isDown, isUnfit } from "../node-fitness.ts";
import { backoffAfter, mayRestart, restartDelay } from "../restart-policy.ts";
import { byAge, isJob, isPerNode, SlotFinder } from "../slots.ts";
import { updateSettings } from "../updater/settings.ts";

/** A task that was told to stop holds up its successor for its grace period and this long. */
const STOP_TIMEOUT = 60_000;
const DEFAULT_GRACE = 10_000;

/** Follows a task that came to its end with another, as its policy says, and lets waiting tasks run in their turn. */
export const restart: Loop = (view, changed, context) => {
  const finder = new SlotFinder(view);
  const actions = endedTasks(view, changed).flatMap((task) => follow(view, finder, task, context));
  const turns = waitingTurns(view, finder, context.now);
  actions.push(
    ...setDesiredState(turns.ready, TaskState.TASK_STATE_RUNNING),
    ...setDesiredState(turns.surplus, TaskState.TASK_STATE_SHUTDOWN, cause(CauseKind.CAUSE_SURPLUS)),
  );
  return turns.next === undefined ? { actions } : { actions, wakeAt: turns.next };
};

function endedTasks(view: StoreView, changed: ChangeSet): TaskRecord[] {
  // One that came to its end while it waited is followed when its turn has come: no faster than the policy lets it.
  const ended = (task: TaskRecord) =>
    isFinished(task) && isWanted(task) && task.desiredState !== TaskState.TASK_STATE_READY;
  if (changed.full) return [...view.records()].filter(ended);
  const found: TaskRecord[] = [];
  for (const { after } of changed.tasks.values()) if (after && ended(after)) found.push(after);
  return found;
}

function follow(
  view: StoreView,
  finder: SlotFinder,
  task: TaskRecord,
  { now, newId }: LoopContext,
): Action[] {
  const service = view.service(task.serviceId);
  if (!service || (isJob(service) && task.state === TaskState.TASK_STATE_COMPLETE)) return [];
  const stop = setDesiredState([task.id], TaskState.TASK_STATE_SHUTDOWN, cause(CauseKind.CAUSE_ENDED));
  const slot = finder.slotOf(service, task);
  if (isJob(service) && task.specVersion !== service.specVersion) return stop;
  const succeeded = slot.some((t) => isWanted(t) && byAge(t, task) > 0);
  if (succeeded || !mayRestart(service, slot, task, now)) return stop;
  // An update takes the place of what is left of the slot.
  if (task.specVersion !== service.specVersion && slot.some(isLive)) return stop;
  if (isPerNode(service) && isUnfit(view.node(task.nodeId))) return stop;
  const follower = {
    id: newId(),
    slot: task.slot,
    nodeId: isPerNode(service) ? task.nodeId : "",
    desiredState: TaskState.TASK_STATE_READY,
  };
  return [...stop, ...createTasks(service.id, [follower], restartOf(service, task))];
}

/** What the ended task tells: `count` goes on where it was itself a restart of the same spec. */
function restartOf(service: Service, ended: TaskRecord): Cause {
  const again = ended.madeBy?.kind === CauseKind.CAUSE_RESTART && ended.specVersion === service.specVersion;
  return cause(CauseKind.CAUSE_RESTART, {
    subject: ended.id,
    detail: ended.err,
    count: again ? ended.madeBy!.count + 1 : 1,
    backoff: backoffAfter(service, ended),
  });
}

/** Waiting tasks whose turn has come, those whose turn will never come, and when the next one's will. */
function waitingTurns(view: StoreView, finder: SlotFinder, now: Millis) {
  const ready: string[] = [];
  const surplus: string[] = [];
  let next: Millis | undefined;
  for (const task of view.recordsWaiting()) {
    const at = turnOf(view, finder, task);
    if (at <= now) ready.push(task.id);
    else if (isSurplus(view, finder, task)) surplus.push(task.id);
    else if (at !== Number.POSITIVE_INFINITY) next = Math.min(next ?? at, at);
  }
  return { ready, surplus, next };
}

/** It follows a task that failed in an update, and the update was turned back to what holds the slot. */
function isSurplus(view: StoreView, finder: SlotFinder, task: TaskRecord): boolean {
  const service = view.service(task.serviceId);
  if (!service || task.madeBy?.kind !== CauseKind.CAUSE_RESTART) return false;
  const holds = (other: TaskRecord) =>
    isLive(other) &&
    other.state >= TaskState.TASK_STATE_ASSIGNED &&
    other.specVersion === task.specVersion &&
    !isUnfit(view.node(other.nodeId));
  return finder.slotOf(service, task).some((t) => byAge(t, task) < 0 && holds(t));
}

/** When a waiting task may run; infinite while a live task of its slot is wanted to run in its place. */
export function turnOf(view: StoreView, finder: SlotFinder, task: TaskRecord): Millis {
  const service = view.service(task.serviceId);
  if (!service) return Number.POSITIVE_INFINITY;
  const older = finder.slotOf(service, task).filter((t) => byAge(t, task) < 0);
  let at = task.createdAt + restartDelay(service, task);
  if (isFinished(task)) return at;
  const { startFirst } = updateSettings(service);
  for (const other of older) {
    if (isLive(other) && other.specVersion === task.specVersion) return Number.POSITIVE_INFINITY;
    if (isFinished(other) || other.state < TaskState.TASK_STATE_ASSIGNED || isDown(view.node(other.nodeId)))
      continue;
    if (isWanted(other)) {
      // An update that starts the new one first lets it run beside the old one.
      if (startFirst && other.specVersion !== task.specVersion) continue;
      return Number.POSITIVE_INFINITY;
    }
    const grace = other.spec.container?.stopGracePeriod || DEFAULT_GRACE;
    at = Math.max(at, other.updatedAt + grace + STOP_TIMEOUT);
  }
  return at;
}
