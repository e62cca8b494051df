import { CreelError, type Millis } from "@creel/shared";
import { Snapshot, type TaskSet } from "@creel/shared/gen/cluster/v1/actions.ts";
import { Task } from "@creel/shared/gen/cluster/v1/objects.ts";
import { freeze } from "./freeze.ts";
import { Tables } from "./tables.ts";
import { type TaskGroup, type TaskRecord, TaskRow } from "./task-row.ts";
import type { StoreView } from "./view.ts";

const FORMAT = 1;
/** Objects a slice: encoding that many takes well below 3 ms. */
const SLICE = 128;

/**
 * The view in slices; their concatenation is the snapshot. Each `next()` does a bounded piece of the work, so that the
 * caller can let others have their turn in between.
 */
export function* snapshotSlices(view: StoreView): Generator<Uint8Array> {
  const cluster = view.cluster().id === "" ? undefined : view.cluster();
  yield encode({ format: FORMAT, index: view.index, time: view.time, cluster });
  for (const nodes of batches(view.nodes())) yield encode({ nodes });
  for (const services of batches(view.services())) yield encode({ services });
  for (const networks of batches(view.networks())) yield encode({ networks });
  for (const secret of view.secrets()) yield encode({ secrets: [secret] });
  for (const config of view.configs()) yield encode({ configs: [config] });

  const numbers = new Map<TaskGroup, number>();
  let sets = new Map<TaskGroup, TaskSet>();
  let count = 0;
  for (const row of view.records()) {
    let set = sets.get(row.group);
    if (!set) {
      const known = numbers.get(row.group);
      const group = known ?? numbers.size + 1;
      numbers.set(row.group, group);
      set = { group, common: known === undefined ? commonOf(row.group) : undefined, tasks: [] };
      sets.set(row.group, set);
    }
    set.tasks.push(withoutCommon(row));
    if (++count === SLICE) {
      yield encode({ taskSets: [...sets.values()] });
      sets = new Map();
      count = 0;
    }
  }
  if (count > 0) yield encode({ taskSets: [...sets.values()] });
}

/** The whole snapshot at once. */
export function encodeSnapshot(view: StoreView): Uint8Array {
  return Buffer.concat([...snapshotSlices(view)]);
}

/** The tables that a snapshot holds. */
export function readSnapshot(bytes: Uint8Array): { tables: Tables; index: number; time: Millis } {
  const snapshot = Snapshot.decode(bytes);
  if (snapshot.format !== FORMAT) {
    throw new CreelError("data_format_newer", {
      path: "the snapshot",
      found: snapshot.format,
      known: FORMAT,
    });
  }
  const tables = new Tables();
  tables.cluster = snapshot.cluster && freeze(snapshot.cluster);
  for (const node of snapshot.nodes) tables.nodes.put(freeze(node));
  for (const service of snapshot.services) tables.services.put(freeze(service));
  for (const network of snapshot.networks) tables.networks.put(freeze(network));
  for (const secret of snapshot.secrets) tables.secrets.put(freeze(secret));
  for (const config of snapshot.configs) tables.configs.put(freeze(config));
  const groups = new Map<number, TaskGroup>();
  for (const set of snapshot.taskSets) {
    const group = groups.get(set.group) ?? readGroup(set);
    groups.set(set.group, group);
    for (const task of set.tasks) tables.putTask(readTask(tables, group, task));
  }
  return { tables, index: snapshot.index, time: snapshot.time };
}

const EMPTY_SNAPSHOT = Snapshot.fromPartial({});

function encode(part: Partial<Snapshot>): Uint8Array {
  return Snapshot.encode({ ...EMPTY_SNAPSHOT, ...part }).finish();
}

function* batches<T>(all: T[]): Generator<T[]> {
  for (let i = 0; i < all.length; i += SLICE) yield all.slice(i, i + SLICE);
}

const EMPTY_TASK = Task.fromPartial({});

function commonOf(group: TaskGroup): Task {
  return { ...EMPTY_TASK, ...group };
}

function withoutCommon(row: TaskRecord): Task {
  const { serviceId, spec, specVersion, serviceName, serviceLabels, ports, jobIteration, ...own } =
    row.toTask();
  return { ...EMPTY_TASK, ...own };
}

function readGroup({ group, common }: TaskSet): TaskGroup {
  if (!common?.spec) {
    throw new CreelError("storage_damaged", {
      path: "the snapshot",
      message: `task group ${group} is missing`,
    });
  }
  const { serviceId, serviceName, serviceLabels, spec, specVersion, ports, jobIteration } = common;
  return freeze({ serviceId, serviceName, serviceLabels, spec, specVersion, ports, jobIteration });
}

function readTask(tables: Tables, group: TaskGroup, task: Task): TaskRow {
  const row = new TaskRow(task.id, group);
  row.slot = task.slot;
  row.nodeId = tables.nodes.get(task.nodeId)?.id ?? task.nodeId;
  row.desiredState = task.desiredState;
  row.version = task.meta?.version ?? 0;
  row.createdAt = task.meta?.createdAt ?? 0;
  row.updatedAt = task.meta?.updatedAt ?? 0;
  row.runningSince = task.runningSince;
  row.madeBy = tables.internCause(task.madeBy);
  row.stoppedBy = tables.internCause(task.stoppedBy);
  if (task.genericResources.length > 0) row.genericResources = freeze(task.genericResources);
  const status = task.status;
  if (status) {
    row.state = status.state;
    row.statusAt = status.timestamp;
    row.message = tables.intern(status.message);
    row.err = tables.intern(status.err);
    row.containerId = status.containerId;
    row.pid = status.pid;
    row.exitCode = status.exitCode;
    if (status.hostPorts.length > 0) row.hostPorts = freeze(status.hostPorts);
  }
  row.attach(tables.shapesOf(group, task.attachments), task.attachments);
  return row;
}
