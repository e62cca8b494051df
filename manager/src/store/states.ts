import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { TaskRecord } from "./task-row.ts";

/** Its container has come to an end, or never will begin. */
export function isFinished(task: TaskRecord): boolean {
  return task.state > TaskState.TASK_STATE_RUNNING;
}

/** The cluster wants it to run, now or when its turn has come. */
export function isWanted(task: TaskRecord): boolean {
  return task.desiredState <= TaskState.TASK_STATE_RUNNING;
}

/** Wanted and not at its end. */
export function isLive(task: TaskRecord): boolean {
  return isWanted(task) && !isFinished(task);
}

/** It takes resources, addresses and ports of its node. */
export function occupiesNode(task: TaskRecord): boolean {
  return task.nodeId !== "" && task.state >= TaskState.TASK_STATE_ASSIGNED && !isFinished(task);
}

/** It ended other than by order or with success. */
export function hasFailed(task: TaskRecord): boolean {
  return task.state === TaskState.TASK_STATE_FAILED || task.state === TaskState.TASK_STATE_REJECTED;
}
