import type { Millis } from "@creel/shared";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { byAge, slotsOf } from "../loops/slots.ts";
import { hasFailed, isFinished, isWanted, type StoreView, type TaskRecord } from "../store/mod.ts";
import { failureText } from "./words.ts";

/** A task without a place for so long is not about to get one. */
const NO_PLACE_MS = 5_000;
/** A task that runs for so long has not failed at its start. */
const RUNS_MS = 10_000;
/** So many in a row that could not be set up (no image, no mount), and so many that failed at their start. */
const REJECTIONS = 3;
const FAILURES = 5;

/**
 * Why the service will not come to be as wanted by itself; empty while it is, or may still be on its way. That is
 * certain of a task that has no place and none in sight, that fails at its start again and again, or that failed and
 * is not to be followed. As long as other tasks are on their way nothing is said.
 */
export function stuckText(view: StoreView, service: Service, now: Millis): string {
  let found = "";
  for (const tasks of slotsOf(view, service).values()) {
    const text = slotText(tasks, now);
    if (text === undefined) return "";
    found ||= text;
  }
  return found;
}

/** Empty: as wanted; undefined: on its way. */
function slotText(tasks: TaskRecord[], now: Millis): string | undefined {
  const task = tasks.filter(isWanted).sort(byAge).at(-1);
  if (!task) return endText(tasks);
  if (task.state === TaskState.TASK_STATE_COMPLETE) return "";
  if (task.state === TaskState.TASK_STATE_RUNNING && now - task.runningSince >= RUNS_MS) return "";
  if (task.state <= TaskState.TASK_STATE_PENDING && task.err !== "") {
    return now - task.statusAt >= NO_PLACE_MS ? task.err : undefined;
  }
  const failure = failureBefore(tasks, task);
  if (failure !== undefined) return failure;
  return task.state === TaskState.TASK_STATE_RUNNING && task.err === "" ? "" : undefined;
}

/** No task is wanted any more: as it should be, unless the last one failed. */
function endText(tasks: TaskRecord[]): string {
  const last = tasks.at(-1);
  if (!last || !hasFailed(last) || last.desiredState !== TaskState.TASK_STATE_SHUTDOWN) return "";
  return `${failureText(last.err)}; its restart policy lets no other follow`;
}

/** What ended the tasks before it, where these were enough in a row. */
function failureBefore(tasks: TaskRecord[], task: TaskRecord): string | undefined {
  const { madeBy } = task;
  if (madeBy?.kind !== CauseKind.CAUSE_RESTART) return undefined;
  const ended = tasks.filter((other) => isFinished(other) && hasFailed(other)).at(-1);
  if (!ended) return undefined;
  if (ended.state === TaskState.TASK_STATE_REJECTED) {
    return madeBy.count >= REJECTIONS ? `${ended.err} (${madeBy.count} times in a row)` : undefined;
  }
  const atOnce = ended.runningSince === 0 || ended.updatedAt - ended.runningSince < RUNS_MS;
  return atOnce && madeBy.count >= FAILURES
    ? `${failureText(ended.err)} (${madeBy.count} times in a row)`
    : undefined;
}
