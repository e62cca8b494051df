import type { Millis } from "@creel/shared";
import { type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished, isLive, isWanted, type TaskRecord } from "../../store/mod.ts";
import { endedByItself } from "../restart-policy.ts";
import type { SlotKey } from "../slots.ts";

/** Where one slot of a service stands in its update. */
export interface SlotState {
  key: SlotKey;
  /** Live tasks of another spec version. */
  old: TaskRecord[];
  /** The wanted task of the present spec version. */
  fresh: TaskRecord | undefined;
  /** The first task made since the update began that came to its end by itself. */
  ended: TaskRecord | undefined;
}

/** Reads a slot's tasks (oldest first); undefined where nothing is wanted. */
export function readSlot(
  service: Service,
  key: SlotKey,
  tasks: TaskRecord[],
  since: Millis,
): SlotState | undefined {
  if (!tasks.some(isWanted)) return undefined;
  const current = tasks.filter((t) => t.specVersion === service.specVersion);
  return {
    key,
    old: tasks.filter((t) => t.specVersion !== service.specVersion && isLive(t)),
    fresh: current.findLast((t) => isWanted(t)),
    ended: current.find((t) => isFinished(t) && endedByItself(t) && t.createdAt >= since),
  };
}

/** It has yet to be changed. A slot where that failed once is left to its old task. */
export function isDirty(slot: SlotState): boolean {
  return slot.fresh === undefined && slot.old.length > 0 && !slot.ended;
}

/** It is an update's business: changed not at all, or not to the end. */
export function isMixed(slot: SlotState): boolean {
  return slot.old.length > 0 && (slot.fresh !== undefined || !slot.ended);
}

/** It takes one of the places of the update's parallelism until it runs and `delay` has passed, or has failed once. */
export function busyUntil(slot: SlotState, delay: Millis): Millis {
  if (!slot.fresh) return 0;
  if (slot.old.length === 0 && slot.fresh.state === TaskState.TASK_STATE_RUNNING)
    return slot.fresh.runningSince + delay;
  return slot.ended ? 0 : Number.POSITIVE_INFINITY;
}

/** Its new task ended before it had run for as long as new ones are watched. */
export function hasFailedAtOnce({ ended }: SlotState, monitor: Millis): boolean {
  return ended !== undefined && (ended.runningSince === 0 || ended.updatedAt - ended.runningSince < monitor);
}

/**
 * Whether the old tasks may be told to stop. In either order the new one comes first as far as it can: its image is
 * there (stop-first), or it runs (start-first). Stop-first gives the old
 * one's place to a new one that cannot be placed beside it.
 */
export function mayStopOld(slot: SlotState, startFirst: boolean): boolean {
  const fresh = slot.fresh;
  if (!fresh || isFinished(fresh)) return false;
  if (fresh.state <= TaskState.TASK_STATE_PENDING) return !startFirst && fresh.err !== "";
  return fresh.state >= (startFirst ? TaskState.TASK_STATE_RUNNING : TaskState.TASK_STATE_READY);
}
