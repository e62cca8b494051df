import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { Cause, type CauseKind, type TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";

/** Actions a list is cut into, so that no entry grows beyond its bound. */
const BATCH = 1000;

/** Why tasks are made or stopped, for whoever asks later. */
export function cause(kind: CauseKind, more: Partial<Omit<Cause, "kind" | "at">> = {}): Cause {
  return Cause.fromPartial({ kind, ...more });
}

export function createTasks(serviceId: string, tasks: NewTask[], why: Cause): Action[] {
  return inBatches(tasks).map((batch) => ({
    kind: { $case: "createTasks", value: { serviceId, tasks: batch, cause: why } },
  }));
}

export function adoptTasks(serviceId: string, taskIds: string[]): Action[] {
  return inBatches(taskIds).map((batch) => ({
    kind: { $case: "adoptTasks", value: { serviceId, taskIds: batch } },
  }));
}

/** `why`: the cause of a state beyond RUNNING. */
export function setDesiredState(taskIds: string[], state: TaskState, why?: Cause): Action[] {
  return inBatches(taskIds).map((batch) => ({
    kind: { $case: "setDesiredState", value: { taskIds: batch, state, cause: why } },
  }));
}

/** The list in pieces, each small enough for one action. */
export function inBatches<T>(all: T[]): T[][] {
  const batches: T[][] = [];
  for (let i = 0; i < all.length; i += BATCH) batches.push(all.slice(i, i + BATCH));
  return batches;
}
