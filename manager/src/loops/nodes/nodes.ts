import type { Millis } from "@creel/shared";
import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { type Cause, CauseKind, type Node, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type ChangeSet, isFinished, isWanted, type StoreView } from "../../store/mod.ts";
import { cause, createTasks, inBatches, setDesiredState } from "../actions.ts";
import { handoverOf, successorState } from "../handover.ts";
import type { Loop, LoopContext } from "../loop.ts";
import { isDown, isDrained } from "../node-fitness.ts";
import { SlotFinder } from "../slots.ts";

/** A node that is down for so long will not tell of its tasks any more. */
const ORPHAN_AFTER = 24 * 3_600_000;
/** Takes tasks off nodes that are down, gone or drained. From a drained node a task goes when its successor runs. */
export const nodes: Loop = (view, changed, context) => {
  const actions: Action[] = [];
  let wakeAt: Millis | undefined;
  const wake = (at: Millis) => {
    wakeAt = Math.min(wakeAt ?? at, at);
  };
  const finder = new SlotFinder(view);
  const touched = touchedNodes(view, changed);
  for (const node of view.nodes()) {
    if (isDown(node)) {
      if (touched.has(node.id)) actions.push(...stopAll(view, node.id, downCause(node)));
      const since = node.status?.since || (node.meta?.updatedAt ?? 0);
      if (context.now >= since + ORPHAN_AFTER) actions.push(...orphan(view, node, context.now));
      else wake(since + ORPHAN_AFTER);
    } else if (isDrained(node)) {
      actions.push(...drain(view, finder, node, context, wake));
    }
  }
  for (const id of touched) {
    if (!view.node(id))
      actions.push(...stopAll(view, id, cause(CauseKind.CAUSE_NODE_REMOVED, { subject: id })));
  }
  return wakeAt === undefined ? { actions } : { actions, wakeAt };
};

function touchedNodes(view: StoreView, changed: ChangeSet): Set<string> {
  if (changed.full) {
    const ids = new Set(view.nodes().map((n) => n.id));
    for (const task of view.records()) if (task.nodeId !== "") ids.add(task.nodeId);
    return ids;
  }
  const ids = new Set(changed.nodes.keys());
  for (const { after } of changed.tasks.values()) if (after && after.nodeId !== "") ids.add(after.nodeId);
  return ids;
}

function downCause(node: Node): Cause {
  return cause(CauseKind.CAUSE_NODE_DOWN, { subject: node.id, detail: node.status?.message ?? "" });
}

function stopAll(view: StoreView, nodeId: string, why: Cause): Action[] {
  const wanted = view.recordsOnNode(nodeId).filter((t) => isWanted(t) && !isFinished(t));
  return setDesiredState(
    wanted.map((t) => t.id),
    TaskState.TASK_STATE_SHUTDOWN,
    why,
  );
}

function orphan(view: StoreView, node: Node, now: Millis): Action[] {
  const lost = view
    .recordsOnNode(node.id)
    .filter((t) => !isFinished(t) && t.state >= TaskState.TASK_STATE_ASSIGNED);
  return inBatches(lost).map((batch) => ({
    kind: {
      $case: "statusBatch",
      value: {
        nodeId: node.id,
        updates: batch.map((t) => ({
          taskId: t.id,
          status: {
            ...t.toTask().status!,
            state: TaskState.TASK_STATE_ORPHANED,
            timestamp: now,
            message: "node is down for a day",
          },
        })),
      },
    },
  }));
}

function drain(
  view: StoreView,
  finder: SlotFinder,
  node: Node,
  context: LoopContext,
  wake: (at: Millis) => void,
): Action[] {
  const stop: string[] = [];
  const actions: Action[] = [];
  const why = cause(CauseKind.CAUSE_NODE_DRAINED, { subject: node.id });
  for (const task of view.recordsOnNode(node.id)) {
    if (!isWanted(task) || isFinished(task)) continue;
    const handover = handoverOf(view, finder, task, context.now);
    if (!handover || task.state < TaskState.TASK_STATE_RUNNING) {
      stop.push(task.id);
    } else if (handover.state === "none") {
      const next: NewTask = {
        id: context.newId(),
        slot: task.slot,
        nodeId: "",
        desiredState: successorState(view.service(task.serviceId)!),
      };
      actions.push(...createTasks(task.serviceId, [next], why));
    } else if (handover.state === "comes") {
      wake(handover.until);
    } else {
      stop.push(task.id);
    }
  }
  return [...actions, ...setDesiredState(stop, TaskState.TASK_STATE_SHUTDOWN, why)];
}
