import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";

/** Actions a list is cut into, so that no entry grows beyond its bound. */
const BATCH = 1000;

export function createTasks(serviceId: string, tasks: NewTask[]): Action[] {
  return inBatches(tasks).map((batch) => ({
    kind: { $case: "createTasks", value: { serviceId, tasks: batch } },
  }));
}

export function setDesiredState(taskIds: string[], state: TaskState): Action[] {
  return inBatches(taskIds).map((batch) => ({
    kind: { $case: "setDesiredState", value: { taskIds: batch, state } },
  }));
}

/** The list in pieces, each small enough for one action. */
export function inBatches<T>(all: T[]): T[][] {
  const batches: T[][] = [];
  for (let i = 0; i < all.length; i += BATCH) batches.push(all.slice(i, i + BATCH));
  return batches;
}
