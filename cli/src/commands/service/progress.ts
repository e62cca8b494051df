import { plural } from "../../output/words.ts";
import type { Service } from "./types.ts";

/** What of a task tells how far it is. */
export interface TaskView {
  ID: string;
  Slot?: number;
  NodeID?: string;
  DesiredState: string;
  Status: { State: string; Timestamp?: string; Err?: string; Message?: string };
}

/** How far a service is from what was asked for. */
export interface Progress {
  /** All wanted tasks run (or, of a job, are done) and no update is under way. */
  done: boolean;
  /** It will not get there by itself: the cause. */
  stopped?: string;
  headline: string;
  /** What is waited for, and why: one line a reason, the most frequent first. */
  reasons: string[];
  /** Only grows while things go forward; a task that fails and is replaced does not count. */
  forward: number;
}

const GOING = new Set(["updating", "rollback_started"]);
/** What a task waits for in each state before it runs. */
const WAITS: Record<string, string> = {
  new: "waiting for addresses",
  allocated: "waiting for addresses",
  pending: "waiting for a node",
  assigned: "waiting for NODE to take it",
  accepted: "accepted by NODE",
  preparing: "preparing on NODE: image, mounts, networks",
  ready: "ready on NODE, waits for its turn to start",
  starting: "starting on NODE",
};

/**
 * Judges a service by its tasks. `current`: the tasks of its newest spec. `isRollback`: to be rolled back is what was
 * asked for, not what went wrong.
 */
export function progressOf(
  service: Service,
  tasks: TaskView[],
  current: TaskView[],
  nodeName: (id: string) => string,
  isRollback: boolean,
): Progress {
  const {
    RunningTasks: running = 0,
    DesiredTasks: desired = 0,
    CompletedTasks: completed = 0,
  } = service.ServiceStatus ?? {};
  const { State: update = "", Message: message = "" } = service.UpdateStatus ?? {};
  const job = service.Spec.Mode.ReplicatedJob;
  const isJob = job !== undefined || service.Spec.Mode.GlobalJob !== undefined;
  // of a job on each node only those are counted as desired that have not completed
  const total = job?.TotalCompletions ?? (isJob ? completed + desired : desired);
  const ready = current.filter((task) => isWanted(task) && task.Status.State === "running");
  const surplus = isJob ? 0 : Math.max(0, running - desired);
  const progress: Progress = {
    done: isJob ? completed >= total && total > 0 : running === desired && !GOING.has(update),
    headline: isJob
      ? `${completed} of ${plural(total, "task")} done, ${running} running`
      : line(running, desired),
    reasons: reasonsOf(tasks, current, nodeName, surplus),
    forward: ready.length + completed - surplus,
  };
  if (GOING.has(update))
    progress.headline += `, ${ready.length} of them with the ${isRollback || update !== "updating" ? "spec before" : "new spec"}`;
  const stopped = stoppedBy(update, message, isRollback);
  if (stopped !== undefined) progress.stopped = stopped;
  return progress;
}

function line(running: number, desired: number): string {
  return `${running} of ${plural(desired, "task")} ${desired === 1 ? "runs" : "run"}`;
}

function stoppedBy(update: string, message: string, isRollback: boolean): string | undefined {
  const why = message === "" ? "" : `: ${message}`;
  if (update === "paused") return `service update paused${why}`;
  if (update === "rollback_paused") return `service rollback paused${why}`;
  if (update === "rollback_completed" && !isRollback) return `service rolled back${why}`;
  return undefined;
}

function reasonsOf(
  tasks: TaskView[],
  current: TaskView[],
  nodeName: (id: string) => string,
  surplus: number,
): string[] {
  const counts = new Map<string, number>();
  const add = (reason: string) => counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const failures = lastFailures(current);
  for (const task of tasks) {
    const { State: state, Err: error } = task.Status;
    if (!isWanted(task) && task.DesiredState !== "ready") continue;
    const waits = WAITS[state];
    if (waits === undefined) continue;
    const failed = failures.get(place(task));
    const why = error ?? (failed === undefined ? undefined : `the one before ended: ${failed}`);
    const text = waits.replace("NODE", task.NodeID ? nodeName(task.NodeID) : "its node");
    add(why === undefined ? text : `${text}: ${why}`);
  }
  if (surplus > 0) counts.set("still stopping", surplus);
  if (counts.size === 0) for (const error of failures.values()) add(`failed: ${error}`);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => `${plural(count, "task")} ${reason}`);
}

/** To run now; a job's task is to run until it is complete. */
const isWanted = ({ DesiredState }: TaskView) => DesiredState === "running" || DesiredState === "complete";

const place = (task: TaskView) => `${task.Slot ?? task.NodeID}`;

/** The newest error in each slot. */
function lastFailures(tasks: TaskView[]): Map<string, string> {
  const found = new Map<string, { at: string; error: string }>();
  for (const task of tasks) {
    const { State: state, Err: error, Timestamp: at = "" } = task.Status;
    if ((state !== "failed" && state !== "rejected") || !error) continue;
    const before = found.get(place(task));
    if (before === undefined || before.at <= at) found.set(place(task), { at, error });
  }
  return new Map([...found].map(([slot, { error }]) => [slot, error]));
}
