import type { Millis } from "@creel/shared";
import {
  CauseKind,
  type RestartPolicy,
  type Service,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { hasFailed, type TaskRecord } from "../store/mod.ts";

const DEFAULT_DELAY = 5_000;
/** A task that runs for less than this has failed at once. */
const AT_ONCE = 10_000;
const LONGEST_BACKOFF = 60_000;
const SHORTEST_BACKOFF = 1_000;
const LONGEST_HISTORY = 100;

/** Whether a finished task's slot is to be filled again. `slot`: all tasks of the slot, the oldest first. */
export function mayRestart(service: Service, slot: TaskRecord[], ended: TaskRecord, now: Millis): boolean {
  const policy = service.spec?.task?.restart;
  const condition = policy?.condition || "any";
  if (condition === "none") return false;
  if (condition === "on-failure" && ended.state === TaskState.TASK_STATE_COMPLETE) return false;
  const max = policy?.maxAttempts ?? 0;
  if (max === 0) return true;
  const since = policy?.window ? now - policy.window : 0;
  const ends = slot.filter(
    (t) => t.specVersion === ended.specVersion && endedByItself(t) && t.updatedAt >= since,
  );
  return Math.max(ends.length, policy?.window ? 0 : restartsBefore(ended) + 1) <= max;
}

/** How often in a row the slot was filled again before this task, also beyond what is kept of its history. */
function restartsBefore({ madeBy }: TaskRecord): number {
  return madeBy?.kind === CauseKind.CAUSE_RESTART ? madeBy.count : 0;
}

/** It came to its end without an order. */
export function endedByItself(task: TaskRecord): boolean {
  return hasFailed(task) || task.state === TaskState.TASK_STATE_COMPLETE;
}

/**
 * `backoff` of the task that follows this one: 0 where it need not wait, else 1 and one more for each task in a row that
 * failed at once. It does not hang on how much of the history is kept.
 */
export function backoffAfter(service: Service, ended: TaskRecord): number {
  if (ended.specVersion !== service.specVersion || !endedByItself(ended)) return 0;
  if (!failedAtOnce(ended)) return 1;
  const before = ended.madeBy?.kind === CauseKind.CAUSE_RESTART ? ended.madeBy.backoff : 0;
  return Math.max(before, 1) + 1;
}

/** How long a task waits for its turn: the policy's delay, and twice as long after each further failure in a row. */
export function restartDelay(service: Service, { madeBy }: TaskRecord): Millis {
  if (madeBy?.kind !== CauseKind.CAUSE_RESTART || madeBy.backoff === 0) return 0;
  const delay = policyDelay(service.spec?.task?.restart);
  const failures = madeBy.backoff - 1;
  return failures < 2 ? delay : backoff(delay, failures);
}

function failedAtOnce(task: TaskRecord): boolean {
  return hasFailed(task) && (task.runningSince === 0 || task.updatedAt - task.runningSince < AT_ONCE);
}

/** How many finished tasks of a slot the policy needs to see. */
export function historyNeeded(service: Service): number {
  const max = service.spec?.task?.restart?.maxAttempts ?? 0;
  return max === 0 ? 0 : Math.min(max + 1, LONGEST_HISTORY);
}

function policyDelay(policy: RestartPolicy | undefined): Millis {
  return policy && (policy.delaySet || policy.delay > 0) ? policy.delay : DEFAULT_DELAY;
}

function backoff(delay: Millis, failures: number): Millis {
  const grown = Math.max(delay, SHORTEST_BACKOFF) * 2 ** Math.min(failures - 1, 16);
  return Math.max(delay, Math.min(grown, LONGEST_BACKOFF));
}
