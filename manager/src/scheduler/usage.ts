import type { GenericResource } from "@creel/shared/gen/cluster/v1/objects.ts";
import {
  type Change,
  type ChangeSet,
  hasFailed,
  isWanted,
  occupiesNode,
  type StoreView,
  type TaskRecord,
} from "../store/mod.ts";
import type { Need } from "./need.ts";
import { NodeInfo } from "./node-info.ts";
import { Pool, poolKey } from "./pool.ts";

/** Pools are kept for the next round while all of them together hold no more nodes. */
const MAX_POOLED = 2 ** 20;

interface Claimed {
  info: NodeInfo;
  need: Need;
  got: GenericResource[];
}

/** What is taken on every node; kept in step with the store by what changed. */
export class Usage {
  private index = -1;
  private infos = new Map<string, NodeInfo>();
  private readonly knowing = new Map<string, Set<NodeInfo>>();
  /** By the id of the task. */
  private claims = new Map<string, Claimed>();
  private readonly pools = new Map<string, { pool: Pool; seen: number }>();
  /** Nodes that changed, in order: each pool has seen so many of them. */
  private touched: NodeInfo[] = [];

  /** Brings it up to the view. Claims made since the last time count only if they are in the view. */
  sync(view: StoreView, changed: ChangeSet): void {
    const follows = !changed.full && changed.from === this.index;
    this.index = view.index;
    if (!follows) {
      this.rebuild(view);
      return;
    }
    const moved: Change<TaskRecord>[] = [];
    for (const [id, change] of changed.tasks) {
      if (tellsUsage(change) && !this.cameTrue(id, change)) moved.push(change);
    }
    for (const id of [...this.claims.keys()]) this.unclaim(id);
    for (const { before, after } of moved) {
      // A failure is remembered when the task is forgotten.
      if (before && (after || !hasFailed(before))) this.count(before, -1);
    }
    for (const [id, { after }] of changed.nodes) this.putNode(id, after);
    for (const { after } of moved) if (after) this.count(after, 1);
    for (const [id, { after }] of changed.services) if (!after) this.knowing.delete(id);
  }

  rebuild(view: StoreView): void {
    this.claims.clear();
    this.touched = [];
    this.pools.clear();
    this.knowing.clear();
    this.infos = new Map(view.nodes().map((node) => [node.id, new NodeInfo(node)]));
    for (const task of view.records()) this.count(task, 1);
  }

  node(id: string): NodeInfo | undefined {
    return this.infos.get(id);
  }

  nodes(): NodeInfo[] {
    return [...this.infos.values()];
  }

  /** Nodes that run the service, or where it failed. */
  nodesThatKnow(serviceId: string): Iterable<NodeInfo> {
    return this.knowing.get(serviceId) ?? [];
  }

  /** The nodes for tasks of the kind, in the order in which they are to be filled. */
  pool(need: Need): Pool {
    if (this.touched.length > 4 * this.infos.size + 4096) {
      this.pools.clear();
      this.touched = [];
    }
    const key = poolKey(need);
    const known = this.pools.get(key);
    const pool = known?.pool ?? new Pool(need, this.infos.values());
    if (known) for (let i = known.seen; i < this.touched.length; i++) pool.update(this.touched[i]!);
    this.pools.delete(key);
    this.pools.set(key, { pool, seen: this.touched.length });
    this.forgetPools();
    return pool;
  }

  /** Counts in a task that is about to be placed on the node; gives what it gets there. */
  claim(info: NodeInfo, need: Need, taskId: string): GenericResource[] {
    const got = info.claim(need);
    this.claims.set(taskId, { info, need, got });
    this.note(info, need.serviceId);
    return got;
  }

  /** Takes a claim back. */
  unclaim(taskId: string): void {
    const claim = this.claims.get(taskId);
    if (!claim) return;
    this.claims.delete(taskId);
    claim.info.unclaim(claim.need, claim.got);
    this.note(claim.info, claim.need.serviceId);
  }

  countWanted(info: NodeInfo, serviceId: string, sign: 1 | -1): void {
    info.countWanted(serviceId, sign);
    this.note(info, serviceId);
  }

  /** Whether the task is now where it was claimed for: then it is counted already. */
  private cameTrue(id: string, { before, after }: Change<TaskRecord>): boolean {
    const claim = this.claims.get(id);
    if (!claim || !before || !after || occupiesNode(before)) return false;
    const { info, need } = claim;
    const same = after.nodeId === info.node.id && after.spec === need.spec && !info.removed;
    if (!same || !occupiesNode(after) || !isWanted(after)) return false;
    this.claims.delete(id);
    return true;
  }

  /** Counts a task in on its node, or (`sign` -1) out again. */
  count(task: TaskRecord, sign: 1 | -1): void {
    const info = this.infos.get(task.nodeId);
    if (!info) return;
    info.count(task, sign);
    this.note(info, task.serviceId);
  }

  private note(info: NodeInfo, serviceId: string) {
    if (this.pools.size > 0) this.touched.push(info);
    const knowing = this.knowing.get(serviceId);
    if (!info.knows(serviceId)) {
      if (knowing?.delete(info) && knowing.size === 0) this.knowing.delete(serviceId);
    } else if (knowing) knowing.add(info);
    else this.knowing.set(serviceId, new Set([info]));
  }

  private putNode(id: string, node: NodeInfo["node"] | undefined) {
    let info = this.infos.get(id);
    if (node && info) info.node = node;
    else if (node) {
      info = new NodeInfo(node);
      this.infos.set(id, info);
    } else if (info) {
      info.removed = true;
      this.infos.delete(id);
    }
    if (info) this.touched.push(info);
  }

  private forgetPools() {
    let places = 0;
    for (const { pool } of this.pools.values()) places += pool.size;
    for (const [key, { pool }] of this.pools) {
      if (places <= MAX_POOLED || this.pools.size === 1) return;
      places -= pool.size;
      this.pools.delete(key);
    }
  }
}

/** Whether something of it is counted on a node otherwise than before. */
function tellsUsage({ before, after }: Change<TaskRecord>): boolean {
  if (!before || !after) return true;
  return (
    before.nodeId !== after.nodeId ||
    occupiesNode(before) !== occupiesNode(after) ||
    isWanted(before) !== isWanted(after) ||
    hasFailed(before) !== hasFailed(after) ||
    before.group !== after.group
  );
}
