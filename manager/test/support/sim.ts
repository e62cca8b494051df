import { newId, seededRandom } from "@creel/shared";
import { type Action, Entry } from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  type Availability,
  Cluster,
  type Node,
  NodeState,
  type Service,
  type ServiceSpec,
  TaskState,
  type TaskStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { createLoops, runLoops } from "../../src/loops/mod.ts";
import {
  type ChangeSet,
  fullChange,
  isEmpty,
  isFinished,
  isWanted,
  mergeChanges,
  noChange,
  Store,
  type StoreView,
  type TaskRecord,
} from "../../src/store/mod.ts";
import { aNode, aService, putNode, putService } from "./specs.ts";

const S = TaskState;
const PATH: TaskState[] = [
  S.TASK_STATE_ASSIGNED,
  S.TASK_STATE_ACCEPTED,
  S.TASK_STATE_PREPARING,
  S.TASK_STATE_READY,
  S.TASK_STATE_STARTING,
  S.TASK_STATE_RUNNING,
];

/** The store, all loops and pretend agents under a clock that only `run` moves. */
export class Sim {
  readonly store = new Store();
  readonly random: ReturnType<typeof seededRandom>;
  now = 1_700_000_000_000;
  /** Nodes whose agents do nothing any more. */
  readonly dead = new Set<string>();
  /** Images whose tasks fail, by the state in which they do. */
  readonly broken = new Map<string, TaskState>();
  /** Images whose tasks come to a good end as soon as they run. */
  readonly short = new Set<string>();
  readonly refusals: string[] = [];
  /** Called after each applied entry. */
  onApply: (view: StoreView, changed: ChangeSet) => void = () => {};
  /** Part of the rounds whose actions are lost with the leader that proposed them. */
  lossRate = 0;
  private loops = createLoops();
  private pending: ChangeSet = fullChange(0, this.now);
  private wakeAt: number | undefined;
  private index = 0;

  constructor(seed = 1) {
    this.random = seededRandom(seed);
  }

  get view(): StoreView {
    return this.store.view();
  }

  apply(...actions: Action[]): ChangeSet {
    const entry = Entry.decode(Entry.encode({ time: this.now, actions }).finish());
    const changed = this.store.apply(entry, ++this.index);
    for (const r of changed.refusals) this.refusals.push(`${r.code} ${JSON.stringify(r.params)}`);
    this.pending = mergeChanges(this.pending, changed);
    this.onApply(this.view, changed);
    return changed;
  }

  /** The cluster's own object, which most rules do without. */
  cluster(taskHistoryLimit = 5): void {
    this.apply({
      kind: {
        $case: "putCluster",
        value: { cluster: Cluster.fromPartial({ id: "c", spec: { taskHistoryLimit } }), ifVersion: 0 },
      },
    });
  }

  nodes(...ids: string[]): void {
    for (const id of ids) this.apply(putNode(aNode(id)));
  }

  service(id: string, spec: ServiceSpec): Service {
    const known = this.view.service(id);
    this.apply(putService({ ...(known ?? aService(id, spec)), spec, previousSpec: known?.spec }));
    return this.view.service(id)!;
  }

  setNode(id: string, state: Node["status"]): void {
    this.apply({
      kind: {
        $case: "setNodeStatus",
        value: { nodeId: id, status: state, description: undefined, dataPathAddr: "" },
      },
    });
  }

  kill(id: string): void {
    this.dead.add(id);
    this.setNode(id, {
      state: NodeState.NODE_STATE_DOWN,
      message: "heartbeat failure",
      addr: "",
      since: this.now,
    });
  }

  revive(id: string): void {
    this.dead.delete(id);
    this.setNode(id, { state: NodeState.NODE_STATE_READY, message: "", addr: "10.9.0.1", since: this.now });
  }

  availability(id: string, availability: Availability): void {
    const node = this.view.node(id)!;
    this.apply(putNode({ ...node, spec: { ...node.spec!, availability } }));
  }

  /** A running task's process ends with an error. */
  fail(taskId: string): void {
    const task = this.view.task(taskId)!;
    const status = {
      ...task.status!,
      state: S.TASK_STATE_FAILED,
      err: "task: non-zero exit (1)",
      exitCode: 1,
    };
    this.apply({
      kind: { $case: "statusBatch", value: { nodeId: task.nodeId, updates: [{ taskId, status }] } },
    });
  }

  /** Rounds of loops until nothing is left to do at this moment. */
  settle(): void {
    for (let round = 0; round < 50; round++) {
      if (isEmpty(this.pending) && !(this.wakeAt !== undefined && this.wakeAt <= this.now)) return;
      const changed = this.pending;
      this.pending = noChange(this.index, this.now);
      const context = { now: this.now, newId: () => newId(this.random) };
      const { actions, wakeAt } = runLoops(this.loops, this.view, changed, context);
      this.wakeAt = wakeAt;
      if (actions.length === 0) continue;
      if (this.random.next() >= this.lossRate) {
        this.apply(...actions);
        continue;
      }
      this.apply(...actions.slice(0, Math.floor(this.random.next() * actions.length)));
      this.loops = createLoops();
      this.pending = fullChange(this.index, this.now);
    }
    throw new Error("the loops do not come to rest");
  }

  /** Lets agents and loops work for `ms`, in steps of at most `step`. */
  run(ms: number, step = 500): void {
    const end = this.now + ms;
    this.settle();
    while (this.now < end) {
      this.now = Math.min(end, this.now + step, this.wakeAt ?? end);
      this.agents();
      this.settle();
    }
  }

  live(serviceId: string): TaskRecord[] {
    return this.view
      .recordsOfService(serviceId)
      .filter((t) => isWanted(t) && t.state === S.TASK_STATE_RUNNING);
  }

  perNode(serviceId: string): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const task of this.live(serviceId)) counts[task.nodeId] = (counts[task.nodeId] ?? 0) + 1;
    return counts;
  }

  private agents() {
    for (const { id } of this.view.nodes()) {
      if (this.dead.has(id)) continue;
      const updates = this.view.recordsOnNode(id).flatMap((task) => {
        const status = this.advance(task);
        return status ? [{ taskId: task.id, status }] : [];
      });
      if (updates.length > 0) this.apply({ kind: { $case: "statusBatch", value: { nodeId: id, updates } } });
    }
  }

  private advance(task: TaskRecord): TaskStatus | undefined {
    if (isFinished(task) || task.state < S.TASK_STATE_ASSIGNED) return undefined;
    const status = { ...task.toTask().status!, timestamp: this.now, message: "" };
    if (!isWanted(task)) return { ...status, state: S.TASK_STATE_SHUTDOWN };
    const image = task.spec.container?.image ?? "";
    if (task.state === S.TASK_STATE_RUNNING && this.short.has(image))
      return { ...status, state: S.TASK_STATE_COMPLETE };
    const next = PATH[PATH.indexOf(task.state) + 1];
    if (next === undefined || next > task.desiredState) return undefined;
    const breaksAt = this.broken.get(image);
    if (breaksAt === undefined || breaksAt > next) return { ...status, state: next };
    return breaksAt < S.TASK_STATE_STARTING
      ? { ...status, state: S.TASK_STATE_REJECTED, err: "no such image" }
      : { ...status, state: S.TASK_STATE_FAILED, err: "task: non-zero exit (1)", exitCode: 1 };
  }
}
