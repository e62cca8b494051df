// A store of a million running tasks in a process of its own: what a task takes, and how long one step stops the thread.
import { randomBytes } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { snapshotSlices } from "@creel/manager/store";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { Entry } from "@creel/shared/gen/cluster/v1/actions.ts";
import { TaskState, TaskStatus } from "@creel/shared/gen/cluster/v1/objects.ts";
import { makeWorld, type StoreWriter } from "../schedule/world.ts";

/** What it tells. */
export interface Figures {
  bytesPerTask: number;
  worstStepMs: number;
  /** What of the longest step was work of this thread: the rest it stood still, for others to work. */
  worstStepCpuMs: number;
  worstSliceMs: number;
  changesPerSecond: number;
}

const [tasks, services] = process.argv.slice(2).map(Number) as [number, number];
const NODES = 1_000;
const BATCH = 1_000;
const STEPS = 2_000;

/** What was asked of the store comes from the log: encoded. */
function fromLog(action: Action): Action {
  return Entry.decode(Entry.encode({ time: 0, actions: [action] }).finish()).actions[0]!;
}

function heap(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** Each task on a node, and running there. */
function run(writer: StoreWriter): void {
  const { store } = writer;
  const nodes = store.view().nodes();
  const waiting = store
    .view()
    .recordsInState(TaskState.TASK_STATE_PENDING)
    .map((task) => task.id);
  for (let from = 0; from < waiting.length; from += BATCH) {
    const ids = waiting.slice(from, from + BATCH);
    const nodeId = nodes[(from / BATCH) % nodes.length]!.id;
    const assigned = ids.map((taskId) => ({ taskId, nodeId, err: "", genericResources: [] }));
    writer.apply(fromLog({ kind: { $case: "assignTasks", value: { tasks: assigned } } }));
    writer.apply(fromLog(statuses(nodeId, ids, 1)));
  }
}

function statuses(nodeId: string, ids: string[], timestamp: number): Action {
  const status = () =>
    TaskStatus.fromPartial({
      state: TaskState.TASK_STATE_RUNNING,
      timestamp: 1_700_000_000_000 + timestamp,
      message: "started",
      containerId: randomBytes(32).toString("hex"),
      pid: 1000 + timestamp,
    });
  const updates = ids.map((taskId) => ({ taskId, status: status() }));
  return { kind: { $case: "statusBatch", value: { nodeId, updates } } };
}

/** Entries of a thousand changes all over the store, a view after each: the longest, and how many changes a second. */
async function steps(writer: StoreWriter): Promise<{ worst: number; worstCpu: number; perSecond: number }> {
  const { store } = writer;
  const nodes = store.view().nodes();
  let worst = 0;
  let worstCpu = 0;
  let busy = 0;
  for (let step = 0; step < STEPS; step++) {
    const { id } = nodes[(step * 7) % nodes.length]!;
    const all = store.view().recordsOnNode(id);
    const ids = all.slice(0, BATCH).map((task) => task.id);
    const bytes = Entry.encode({ time: 0, actions: [statuses(id, ids, step + 2)] }).finish();
    await turn();
    const begun = performance.now();
    const cpu = process.threadCpuUsage();
    writer.apply(...Entry.decode(bytes).actions);
    store.view();
    const took = performance.now() - begun;
    const { user, system } = process.threadCpuUsage(cpu);
    worstCpu = Math.max(worstCpu, (user + system) / 1000);
    worst = Math.max(worst, took);
    busy += took;
  }
  return { worst, worstCpu, perSecond: (STEPS * BATCH) / (busy / 1000) };
}

async function slices(writer: StoreWriter): Promise<number> {
  let worst = 0;
  const all = snapshotSlices(writer.store.view());
  for (;;) {
    const begun = performance.now();
    const { done } = all.next();
    worst = Math.max(worst, performance.now() - begun);
    if (done) return worst;
    await turn();
  }
}

const empty = heap();
const writer = makeWorld({ nodes: NODES, tasks, services, demanding: false });
run(writer);
const bytesPerTask = (heap() - empty) / tasks;
const { worst, worstCpu, perSecond } = await steps(writer);
const worstSliceMs = await slices(writer);
const figures: Figures = {
  bytesPerTask,
  worstStepMs: worst,
  worstStepCpuMs: worstCpu,
  worstSliceMs,
  changesPerSecond: perSecond,
};
process.send?.(figures);
process.disconnect?.();
