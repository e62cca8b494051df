import type { Millis } from "@creel/shared";
import type { Action, TaskAssignment } from "@creel/shared/gen/cluster/v1/actions.ts";
import { CauseKind } from "@creel/shared/gen/cluster/v1/objects.ts";
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
import { shortForm } from "./explanation.ts";
import { refusedBy } from "./filters.ts";
import { type Need, needOf } from "./need.ts";
import { Pending, type PendingTasks } from "./pending.ts";
import { placeTasks } from "./place.ts";
import { Usage } from "./usage.ts";

/** So many assignments a round: about 20 ms, and the leader does its other work in between. */
const ROUND = 10_000;

/** Gives pending tasks a node, or says why they have none. */
export function scheduler(): Loop {
  const usage = new Usage();
  const pending = new Pending();
  return (view, changed, { now }) => {
    usage.sync(view, changed);
    pending.sync(view, changed);
    if (givesRoom(changed)) pending.retry();
    const assignments: TaskAssignment[] = [];
    for (const [group, tasks] of pending.take()) {
      const { made, complete } = assign(view, usage, group, tasks, now, ROUND - assignments.length);
      for (const assignment of made) assignments.push(assignment);
      if (!complete) pending.putBack(group);
      if (assignments.length >= ROUND) break;
    }
    const actions = inBatches(assignments).map(
      (batch): Action => ({ kind: { $case: "assignTasks", value: { tasks: batch } } }),
    );
    return pending.done ? { actions } : { actions, wakeAt: now };
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

/** Assignments for tasks alike. Not complete: there would have been more than `room`. */
interface Assigned {
  made: TaskAssignment[];
  complete: boolean;
}

function assign(
  view: StoreView,
  usage: Usage,
  group: TaskGroup,
  tasks: PendingTasks,
  now: Millis,
  room: number,
): Assigned {
  const need = needOf(view, group);
  // The loop that made them has named a node for each, or for none.
  const [first] = tasks.values();
  return first!.nodeId !== ""
    ? settleAll(usage, need, tasks, room)
    : placeAll(view, usage, need, tasks, now, room);
}

function settleAll(usage: Usage, need: Need, tasks: PendingTasks, room: number): Assigned {
  const made: TaskAssignment[] = [];
  for (const task of tasks.values()) {
    if (made.length >= room) return { made, complete: false };
    const settled = settle(usage, need, task);
    if (typeof settled !== "string") made.push(settled);
    else if (task.err !== settled) made.push(refusal(task, settled));
  }
  return { made, complete: true };
}

function placeAll(
  view: StoreView,
  usage: Usage,
  need: Need,
  tasks: PendingTasks,
  now: Millis,
  room: number,
): Assigned {
  const batch: TaskRecord[] = [];
  for (const task of tasks.values()) {
    if (batch.length >= room) break;
    batch.push(task);
  }
  const giveBack = discountPredecessors(view, usage, batch);
  const ids = batch.map((task) => task.id);
  const { places, err } = placeTasks(usage, need, ids, now);
  giveBack();
  const made: TaskAssignment[] = places.map((place, i) => ({ taskId: ids[i]!, err: "", ...place }));
  if (err === "") return { made, complete: batch.length === tasks.size };
  let seen = 0;
  for (const task of tasks.values()) {
    if (seen++ < places.length || task.err === err) continue;
    if (made.length >= room) return { made, complete: false };
    made.push(refusal(task, err));
  }
  return { made, complete: true };
}

function refusal(task: TaskRecord, err: string): TaskAssignment {
  return { taskId: task.id, nodeId: "", err, genericResources: [] };
}

/** Takes the node that the task was made for; gives the word why it cannot. */
function settle(usage: Usage, need: Need, task: TaskRecord): TaskAssignment | string {
  const info = usage.node(task.nodeId);
  if (!info) return "no suitable node";
  if (refusedBy(need, info)) return shortForm(need, [info]);
  const genericResources = usage.claim(info, need, task.id);
  return { taskId: task.id, nodeId: task.nodeId, err: "", genericResources };
}

/**
 * A task that another of its slot is about to take the place of does not count where the service spreads, or updates
 * would crowd the nodes that come last.
 */
function discountPredecessors(view: StoreView, usage: Usage, tasks: TaskRecord[]): () => void {
  const followers = tasks.filter((t) => t.madeBy?.kind !== CauseKind.CAUSE_MODE);
  if (followers.length === 0) return () => {};
  const slots = new Set(followers.map((t) => t.slot));
  const serviceId = followers[0]!.serviceId;
  const discounted = view
    .recordsOfService(serviceId)
    .filter((t) => slots.has(t.slot) && isWanted(t) && occupiesNode(t))
    .flatMap((t) => usage.node(t.nodeId) ?? []);
  for (const info of discounted) usage.countWanted(info, serviceId, -1);
  return () => {
    for (const info of discounted) usage.countWanted(info, serviceId, 1);
  };
}
