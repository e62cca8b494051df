import { isDeepStrictEqual } from "node:util";
import type {
  AdoptTasks,
  AllocateTasks,
  AssignTasks,
  CreateTasks,
  RemoveTasks,
  SetDesiredState,
  StatusBatch,
  TaskAllocation,
  TaskAssignment,
  TaskStatusUpdate,
} from "@creel/shared/gen/cluster/v1/actions.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Draft, deny, type Outcome } from "./draft.ts";
import { freeze } from "./freeze.ts";
import { isWanted } from "./states.ts";
import { TaskRow } from "./task-row.ts";

const STATES: ReadonlySet<number> = new Set(Object.values(TaskState).filter((s) => s >= 0));

/** A task begins as NEW, with the service's task spec of this moment. */
export function createTasks(draft: Draft, action: CreateTasks): Outcome {
  const service = draft.tables.services.get(action.serviceId);
  if (!service) return deny("no_such_service", { id: action.serviceId });
  const group = draft.tables.groupOf(service);
  const madeBy = draft.cause(action.cause);
  for (const [item, task] of action.tasks.entries()) {
    if (draft.tables.tasks.get(task.id)) {
      draft.note(deny("conflict", { message: `task ${task.id} exists already` }), item);
      continue;
    }
    const row = new TaskRow(task.id, group);
    row.slot = task.slot;
    row.nodeId = draft.tables.nodes.get(task.nodeId)?.id ?? task.nodeId;
    row.desiredState = task.desiredState;
    row.createdAt = draft.time;
    row.statusAt = draft.time;
    row.message = "created";
    row.madeBy = madeBy;
    draft.putTask(row);
  }
}

/** NEW → PENDING: the task has its addresses, and the published ports that the service has by now. */
export function allocateTasks(draft: Draft, action: AllocateTasks): void {
  for (const [item, allocation] of action.tasks.entries()) draft.note(allocateTask(draft, allocation), item);
}

function allocateTask(draft: Draft, { taskId, attachments }: TaskAllocation): Outcome {
  const known = draft.tables.tasks.get(taskId);
  if (!known) return deny("no_such_task", { id: taskId });
  if (known.state !== TaskState.TASK_STATE_NEW) {
    return deny("conflict", { message: `task ${taskId} is allocated already` });
  }
  const row = known.clone();
  const service = draft.tables.services.get(row.serviceId);
  if (service && service.specVersion === row.specVersion) row.group = draft.tables.groupOf(service);
  row.attach(draft.tables.shapesOf(row.group, attachments), attachments);
  row.state = TaskState.TASK_STATE_PENDING;
  row.statusAt = draft.time;
  row.message = "pending task scheduling";
  row.err = "";
  draft.putTask(row);
}

/** PENDING → ASSIGNED; or, without a node, the word why it stays as it is. */
export function assignTasks(draft: Draft, action: AssignTasks): void {
  for (const [item, assignment] of action.tasks.entries()) draft.note(assignTask(draft, assignment), item);
}

function assignTask(draft: Draft, { taskId, nodeId, err, genericResources }: TaskAssignment): Outcome {
  const known = draft.tables.tasks.get(taskId);
  if (!known) return deny("no_such_task", { id: taskId });
  if (known.state > TaskState.TASK_STATE_PENDING) {
    return deny("conflict", { message: `task ${taskId} is assigned already` });
  }
  const row = known.clone();
  if (nodeId === "") {
    if (row.err === err) return undefined;
    row.err = draft.tables.intern(err);
  } else {
    if (row.state !== TaskState.TASK_STATE_PENDING) {
      return deny("conflict", { message: `task ${taskId} is not allocated yet` });
    }
    const node = draft.tables.nodes.get(nodeId);
    if (!node) return deny("no_such_node", { id: nodeId });
    row.nodeId = node.id;
    row.state = TaskState.TASK_STATE_ASSIGNED;
    row.message = "scheduler assigned task to node";
    if (genericResources.length > 0) row.genericResources = freeze(genericResources);
    row.err = "";
  }
  row.statusAt = draft.time;
  draft.putTask(row);
}

/** Tasks of an older spec version become tasks of the newest; one that found no node is looked at again. */
export function adoptTasks(draft: Draft, action: AdoptTasks): Outcome {
  const service = draft.tables.services.get(action.serviceId);
  if (!service) return deny("no_such_service", { id: action.serviceId });
  const group = draft.tables.groupOf(service);
  for (const [item, id] of action.taskIds.entries()) {
    const known = draft.tables.tasks.get(id);
    if (known?.serviceId !== service.id) {
      draft.note(deny("no_such_task", { id }), item);
      continue;
    }
    const row = known.clone();
    row.group = group;
    if (row.state < TaskState.TASK_STATE_ASSIGNED) row.err = "";
    draft.putTask(row);
  }
}

/** A desired state only goes on: READY, RUNNING, SHUTDOWN, REMOVE. The cause of the first stop is kept. */
export function setDesiredState(draft: Draft, action: SetDesiredState): void {
  const cause = draft.cause(action.cause);
  for (const [item, id] of action.taskIds.entries()) {
    const known = draft.tables.tasks.get(id);
    if (!known) {
      draft.note(deny("no_such_task", { id }), item);
    } else if (action.state < known.desiredState) {
      draft.note(deny("conflict", { message: `task ${id} is further than that already` }), item);
    } else if (action.state !== known.desiredState) {
      const row = known.clone();
      row.desiredState = action.state;
      if (!isWanted(row)) row.stoppedBy ??= cause;
      draft.putTask(row);
    }
  }
}

/** What the agent of the task's node saw. A state older than the known one is refused. */
export function statusBatch(draft: Draft, { nodeId, updates }: StatusBatch): void {
  for (const [item, update] of updates.entries()) draft.note(updateStatus(draft, nodeId, update), item);
}

function updateStatus(draft: Draft, nodeId: string, { taskId, status }: TaskStatusUpdate): Outcome {
  const known = draft.tables.tasks.get(taskId);
  if (!known) return deny("no_such_task", { id: taskId });
  if (!status || known.nodeId !== nodeId || known.state < TaskState.TASK_STATE_ASSIGNED) {
    return deny("permission_denied", { role: `node ${nodeId}`, method: "tell of this task" });
  }
  if (!STATES.has(status.state)) {
    return deny("invalid_parameter", { message: `${status.state} is no state of a task` });
  }
  if (status.state < known.state) {
    return deny("conflict", { message: `task ${taskId} is further than that already` });
  }
  const row = known.clone();
  row.state = status.state;
  if (row.state === TaskState.TASK_STATE_RUNNING) row.runningSince ||= draft.time;
  row.statusAt = status.timestamp || draft.time;
  row.message = draft.tables.intern(status.message);
  row.err = draft.tables.intern(status.err);
  row.containerId = status.containerId;
  row.pid = status.pid;
  row.exitCode = status.exitCode;
  if (status.hostPorts.length > 0 || row.hostPorts.length > 0) row.hostPorts = freeze(status.hostPorts);
  if (!sameStatus(known, row)) draft.putTask(row);
}

export function removeTasks(draft: Draft, action: RemoveTasks): void {
  for (const [item, id] of action.taskIds.entries()) {
    if (draft.tables.tasks.get(id)) draft.removeTask(id);
    else draft.note(deny("no_such_task", { id }), item);
  }
}

function sameStatus(a: TaskRow, b: TaskRow): boolean {
  return (
    a.state === b.state &&
    a.statusAt === b.statusAt &&
    a.message === b.message &&
    a.err === b.err &&
    a.containerId === b.containerId &&
    a.pid === b.pid &&
    a.exitCode === b.exitCode &&
    (a.hostPorts === b.hostPorts || isDeepStrictEqual(a.hostPorts, b.hostPorts))
  );
}
