import type { Millis } from "@creel/shared";
import type { Action, TaskAssignment } from "@creel/shared/gen/cluster/v1/actions.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { inBatches } from "../loops/actions.ts";
import type { Loop } from "../loops/loop.ts";
import {
  type ChangeSet,
  isWanted,
  occupiesNode,
  type StoreView,
  type TaskGroup,
  type TaskRecord,
} from "../store/mod.ts";
import { explain, shortForm } from "./explanation.ts";
import { refusedBy } from "./filters.ts";
import { type Need, needOf } from "./need.ts";
import { placeTasks } from "./place.ts";
import { Usage } from "./usage.ts";

/** Gives pending tasks a node, or says why they have none. */
export function scheduler(): Loop {
  const usage = new Usage();
  return (view, changed, { now }) => {
    usage.sync(view, changed);
    const retry = givesRoom(changed);
    const assignments: TaskAssignment[] = [];
    for (const [group, tasks] of pendingGroups(view)) {
      if (!retry && tasks.every((t) => t.err !== "")) continue;
      assignments.push(...assign(view, usage, group, tasks, now));
    }
    return {
      actions: inBatches(assignments).map(
        (batch): Action => ({ kind: { $case: "assignTasks", value: { tasks: batch } } }),
      ),
    };
  };
}

/** Whether a task that had no place before may have one now. */
function givesRoom(changed: ChangeSet): boolean {
  if (changed.full || changed.nodes.size > 0) return true;
  for (const { before, after } of changed.tasks.values()) {
    if (!before || !occupiesNode(before)) continue;
    if (!after || !occupiesNode(after) || (isWanted(before) && !isWanted(after))) return true;
  }
  return false;
}

/** Pending tasks by what they have in common, the oldest first. */
function pendingGroups(view: StoreView): Map<TaskGroup, TaskRecord[]> {
  const groups = new Map<TaskGroup, TaskRecord[]>();
  const pending = view.recordsInState(TaskState.TASK_STATE_PENDING).filter(isWanted);
  pending.sort((a, b) => a.createdAt - b.createdAt || a.slot - b.slot || (a.id < b.id ? -1 : 1));
  for (const task of pending) {
    const group = groups.get(task.group);
    if (group) group.push(task);
    else groups.set(task.group, [task]);
  }
  return groups;
}

function assign(
  view: StoreView,
  usage: Usage,
  group: TaskGroup,
  tasks: TaskRecord[],
  now: Millis,
): TaskAssignment[] {
  const need = needOf(view, group);
  const assignments: TaskAssignment[] = [];
  const stay = (task: TaskRecord, err: string) => {
    if (task.err !== err) assignments.push({ taskId: task.id, nodeId: "", err });
  };
  for (const task of tasks) {
    if (task.nodeId === "") continue;
    const err = settle(usage, need, task.nodeId, now);
    if (err === "") assignments.push({ taskId: task.id, nodeId: task.nodeId, err });
    else stay(task, err);
  }

  const free = tasks.filter((t) => t.nodeId === "");
  if (free.length === 0) return assignments;
  const giveBack = discountPredecessors(view, usage, free);
  const { nodeIds, err } = placeTasks(usage, need, free.length, now);
  giveBack();
  for (const [i, task] of free.entries()) {
    const nodeId = nodeIds[i];
    if (nodeId !== undefined) assignments.push({ taskId: task.id, nodeId, err: "" });
    else stay(task, err);
  }
  return assignments;
}

/** Takes the node that the task was made for; gives the word why it cannot. */
function settle(usage: Usage, need: Need, nodeId: string, now: Millis): string {
  const info = usage.node(nodeId);
  if (!info) return "no suitable node";
  if (refusedBy(need, info)) return shortForm(explain(need, [info], now));
  usage.claim(info, need);
  return "";
}

/**
 * A task that another of its slot is about to take the place of does not count where the service spreads, or updates
 * would crowd the nodes that come last.
 */
function discountPredecessors(view: StoreView, usage: Usage, tasks: TaskRecord[]): () => void {
  const slots = new Set(tasks.map((t) => t.slot));
  const serviceId = tasks[0]!.serviceId;
  const discounted = view
    .recordsOfService(serviceId)
    .filter((t) => slots.has(t.slot) && isWanted(t) && occupiesNode(t))
    .flatMap((t) => usage.node(t.nodeId) ?? []);
  for (const info of discounted) info.countWanted(serviceId, -1);
  return () => {
    for (const info of discounted) info.countWanted(serviceId, 1);
  };
}
