import type { Millis, Why, WhyCause } from "@creel/shared";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { turnOf } from "../loops/restart/restart.ts";
import { byAge, SlotFinder } from "../loops/slots.ts";
import { hasFailed, isFinished, isWanted, type StoreView, type TaskRecord } from "../store/mod.ts";
import { noPlaceText, unreadyText } from "./placement.ts";
import { because, endText, failureText, madeText, nodeName, stoppedText, taskName } from "./words.ts";

/** Tasks of the slot that are looked back at. */
const MAX_BACK = 20;

/** Why a task is as it is: its own state, what made it, and what became of the tasks before it in its slot. */
export function whyTask(view: StoreView, task: TaskRecord, now: Millis): Why {
  const service = view.service(task.serviceId);
  const causes = [...presentCauses(view, task, now)];
  causes.push(...pastCauses(view, task));
  for (const before of predecessors(view, service, task)) {
    const past = pastCauses(view, before).filter(({ code }) => code !== "restarted");
    causes.push(...endCauses(view, before), ...past);
  }
  const summary = `${taskName(view, task)} ${stateText(view, task)}`;
  return { kind: "task", id: task.id, name: taskName(view, task), now, summary, stuck: "", causes };
}

/** What keeps a task from running, or that it runs. */
export function presentCauses(view: StoreView, task: TaskRecord, now: Millis): WhyCause[] {
  if (isFinished(task)) return endCauses(view, task);
  const on = nodeName(view, task.nodeId);
  const at = task.statusAt;
  if (!isWanted(task)) return [];
  if (task.state <= TaskState.TASK_STATE_PENDING) {
    if (task.state === TaskState.TASK_STATE_PENDING && task.err !== "") {
      return [because("no-place", at, noPlaceText(view, task, now))];
    }
    return task.err === "" ? [] : [because("no-address", at, task.err)];
  }
  const lost = unreadyText(view.node(task.nodeId));
  if (lost === "is down") return [because("node-state", at, `${on} is down`)];
  if (task.desiredState === TaskState.TASK_STATE_READY) return [turnCause(view, task)];
  switch (task.state) {
    case TaskState.TASK_STATE_RUNNING:
      if (task.err !== "") return [because("unhealthy", at, `${failureText(task.err)} on ${on}`)];
      return [because("running", task.runningSince || at, `runs on ${on}`)];
    case TaskState.TASK_STATE_STARTING:
      return [because("starting", at, startingText(task, on))];
    case TaskState.TASK_STATE_ASSIGNED:
      return [because("preparing", at, `${on} has not taken it yet`)];
    default:
      return [because("preparing", at, `${on} prepares it: image, mounts, networks`)];
  }
}

function startingText(task: TaskRecord, on: string): string {
  const check = task.spec.container?.healthcheck;
  const checked = check !== undefined && check.test.length > 0 && check.test[0] !== "NONE";
  return checked ? `starts on ${on}; its health check does not say healthy yet` : `starts on ${on}`;
}

/** A task that waits for its turn: for the restart delay to pass, or for the one before to go. */
function turnCause(view: StoreView, task: TaskRecord): WhyCause {
  const until = turnOf(view, new SlotFinder(view), task);
  const { createdAt } = task;
  if (task.madeBy?.kind === CauseKind.CAUSE_RESTART && Number.isFinite(until)) {
    return because("restart-delay", createdAt, "waits for the restart delay to pass", { until });
  }
  return because("turn", createdAt, "waits for the task before it in its slot to stop");
}

/** How a task ended by itself, or by whom it was stopped. */
function endCauses(view: StoreView, task: TaskRecord): WhyCause[] {
  if (!isFinished(task)) return [];
  if (hasFailed(task)) {
    const code = task.state === TaskState.TASK_STATE_REJECTED ? "rejected" : "failed";
    return [because(code, task.statusAt, endText(view, task))];
  }
  const code = task.state === TaskState.TASK_STATE_COMPLETE ? "completed" : "stopped";
  return [because(code, task.statusAt, endText(view, task))];
}

/** Why it was stopped, and why it was made. */
export function pastCauses(view: StoreView, task: TaskRecord): WhyCause[] {
  const causes: WhyCause[] = [];
  const stopped = task.stoppedBy && stoppedText(view, task.stoppedBy);
  if (task.stoppedBy && stopped) causes.push(because("stopped", task.stoppedBy.at, `stopped: ${stopped}`));
  const made = task.madeBy;
  if (made) causes.push(madeCause(view, task, madeText(view, made)));
  return causes;
}

function madeCause(view: StoreView, task: TaskRecord, text: string): WhyCause {
  const { kind, at } = task.madeBy!;
  if (kind === CauseKind.CAUSE_RESTART) return because("restarted", at, text);
  const to = task.nodeId === "" ? "" : ` to ${nodeName(view, task.nodeId)}`;
  return movesTasks(kind)
    ? because("moved", at, `moved${to}: ${text}`)
    : because("made", at, `made: ${text}`);
}

/** Whether a task made for that stands elsewhere than the one before it. */
export function movesTasks(kind: CauseKind): boolean {
  return (
    kind === CauseKind.CAUSE_NODE_DOWN ||
    kind === CauseKind.CAUSE_NODE_DRAINED ||
    kind === CauseKind.CAUSE_NODE_REMOVED ||
    kind === CauseKind.CAUSE_NODE_UNFIT ||
    kind === CauseKind.CAUSE_REBALANCE
  );
}

/** Older tasks of the slot, the newest first. */
function predecessors(view: StoreView, service: Service | undefined, task: TaskRecord): TaskRecord[] {
  if (!service) return [];
  const slot = new SlotFinder(view).slotOf(service, task);
  return slot
    .filter((other) => byAge(other, task) < 0)
    .reverse()
    .slice(0, MAX_BACK);
}

function stateText(view: StoreView, task: TaskRecord): string {
  const on = task.nodeId === "" ? "" : ` on ${nodeName(view, task.nodeId)}`;
  if (isFinished(task)) return endText(view, task);
  if (!isWanted(task)) return `is being stopped${on}`;
  if (task.state === TaskState.TASK_STATE_RUNNING) return `runs${on}`;
  if (task.state <= TaskState.TASK_STATE_PENDING) return "is pending: it has no node yet";
  return task.desiredState === TaskState.TASK_STATE_READY
    ? `waits for its turn${on}`
    : `does not run yet${on}`;
}
