import type { Millis } from "@creel/shared";
import type { Action, TaskStatusUpdate } from "@creel/shared/gen/cluster/v1/actions.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isDown } from "../loops/node-fitness.ts";
import { isJob } from "../loops/slots.ts";
import { type ChangeSet, isFinished, isWanted, type StoreView, type TaskRecord } from "../store/mod.ts";

/** What the agents of the nodes that answer say when each does at once what it is told, and nothing fails. */
export function agentReports(view: StoreView, changed: ChangeSet, now: Millis): Action[] {
  const byNode = new Map<string, TaskStatusUpdate[]>();
  for (const task of touched(view, changed)) {
    const state = nextState(view, task);
    if (state === undefined) continue;
    const status = { ...task.toTask().status!, state, timestamp: now, message: "", err: "" };
    const updates = byNode.get(task.nodeId);
    if (updates) updates.push({ taskId: task.id, status });
    else byNode.set(task.nodeId, [{ taskId: task.id, status }]);
  }
  return [...byNode].map(([nodeId, updates]) => ({
    kind: { $case: "statusBatch", value: { nodeId, updates } },
  }));
}

function* touched(view: StoreView, changed: ChangeSet): Generator<TaskRecord> {
  if (changed.full) yield* view.records();
  else for (const { after } of changed.tasks.values()) if (after) yield after;
}

function nextState(view: StoreView, task: TaskRecord): TaskState | undefined {
  if (isFinished(task) || task.state < TaskState.TASK_STATE_ASSIGNED || isDown(view.node(task.nodeId))) {
    return undefined;
  }
  if (!isWanted(task)) return TaskState.TASK_STATE_SHUTDOWN;
  if (task.state < task.desiredState) return task.desiredState;
  const service = view.service(task.serviceId);
  const completes = task.state === TaskState.TASK_STATE_RUNNING && service && isJob(service);
  return completes ? TaskState.TASK_STATE_COMPLETE : undefined;
}
