import type { WhyCause } from "@creel/shared";
import { type Cause, CauseKind, type Node, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView, TaskRecord } from "../store/mod.ts";

/** A cause with what is usual left out. */
export function because(
  code: WhyCause["code"],
  at: number,
  text: string,
  more: Partial<WhyCause> = {},
): WhyCause {
  return { code, at, until: 0, text, tasks: [], count: 0, ...more };
}

/** A node's host name; of one that is gone its id. */
export function nodeName(view: StoreView, id: string): string {
  return hostname(view.node(id)) || id;
}

export function hostname(node: Node | undefined): string {
  return node?.description?.hostname || (node?.id ?? "");
}

/** A task as `service ps` names it: SERVICE.SLOT, or SERVICE.NODE of a global service. */
export function taskName(view: StoreView, task: TaskRecord): string {
  return `${task.group.serviceName}.${task.slot || nodeName(view, task.nodeId)}`;
}

/** A number with its noun: "1 task", "3 tasks". */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const EXIT = /^task: non-zero exit \((-?\d+)\)(?:: ([\s\S]*))?$/;

/** How a task ended that failed: "exit 137, out of memory". */
export function failureText(err: string): string {
  const exit = EXIT.exec(err);
  if (!exit) return err.replace(/^task: /, "") || "it failed";
  return exit[2] ? `exit ${exit[1]}, ${exit[2]}` : `exit ${exit[1]}`;
}

/** Why a task was made, in the words after "made:". */
export function madeText(view: StoreView, cause: Cause): string {
  switch (cause.kind) {
    case CauseKind.CAUSE_MODE:
      return "the service asks for it";
    case CauseKind.CAUSE_RESTART:
      return `restarted ${plural(cause.count, "time")}: ${failureOrEnd(cause.detail)}`;
    default:
      return changeText(view, cause);
  }
}

/** Why a task is no longer wanted, in the words after "stopped:"; empty where it ended by itself. */
export function stoppedText(view: StoreView, cause: Cause): string {
  if (cause.kind === CauseKind.CAUSE_MODE) return "the service asks for fewer tasks";
  return changeText(view, cause);
}

function changeText(view: StoreView, { kind, subject, detail }: Cause): string {
  switch (kind) {
    case CauseKind.CAUSE_UPDATE:
      return "the service was updated";
    case CauseKind.CAUSE_ROLLBACK:
      return "the service was rolled back";
    case CauseKind.CAUSE_NODE_DOWN:
      return `${nodeName(view, subject)} ${detail.replace(/^heartbeat failure: /, "") || "is down"}`;
    case CauseKind.CAUSE_NODE_DRAINED:
      return `${nodeName(view, subject)} is drained`;
    case CauseKind.CAUSE_NODE_REMOVED:
      return `${detail || nodeName(view, subject)} was removed from the cluster`;
    case CauseKind.CAUSE_NODE_UNFIT:
      return "its node no longer is what the service asks for";
    case CauseKind.CAUSE_REBALANCE:
      return "the cluster was rebalanced";
    case CauseKind.CAUSE_SURPLUS:
      return "another task of its slot runs";
    case CauseKind.CAUSE_SERVICE_REMOVED:
      return "the service was removed";
    default:
      return "";
  }
}

function failureOrEnd(detail: string): string {
  return detail === "" ? "it came to its end" : failureText(detail);
}

/** How a finished task ended, with its node. */
export function endText(view: StoreView, task: TaskRecord): string {
  const where = task.nodeId === "" ? "" : ` on ${nodeName(view, task.nodeId)}`;
  switch (task.state) {
    case TaskState.TASK_STATE_COMPLETE:
      return `ended by itself${where}, with success`;
    case TaskState.TASK_STATE_REJECTED:
      return `could not be set up${where}: ${task.err}`;
    case TaskState.TASK_STATE_FAILED:
      return `failed${where}: ${failureText(task.err)}`;
    case TaskState.TASK_STATE_ORPHANED:
      return `was lost${where}: ${task.message}`;
    default:
      return `was stopped${where}`;
  }
}
