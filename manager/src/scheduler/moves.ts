import type { Millis } from "@creel/shared";
import type { Move } from "@creel/shared/gen/cluster/v1/objects.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { takesTasks } from "../loops/node-fitness.ts";
import { isUpdating } from "../loops/updater/settings.ts";
import { isWanted, type StoreView, type TaskRecord } from "../store/mod.ts";
import { needOf } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";
import type { Branch, Pool } from "./pool.ts";
import { spreadOver } from "./spread.ts";
import { Usage } from "./usage.ts";

/** So many places are looked for; a rebalance that needs more goes on with the next one. */
const MAX_TRIES = 20_000;

/**
 * At most `max` tasks whose move to another node makes the cluster more even: a service over its spread preferences and
 * nodes first, then all tasks over all nodes. From the fullest nodes first, and each to where the scheduler would put it.
 */
export function planMoves(view: StoreView, max: number, now: Millis): Move[] {
  const planner = new MovePlanner(view, now);
  const moves: Move[] = [];
  for (const better of [spreadsBetter, isEmptier]) {
    for (let before = -1; before < moves.length && moves.length < max; ) {
      before = moves.length;
      for (const info of planner.fullestFirst()) {
        if (moves.length < max) moves.push(...planner.movesFrom(info, max - moves.length, better));
      }
    }
  }
  return moves;
}

class MovePlanner {
  private readonly view: StoreView;
  private readonly now: Millis;
  private readonly usage = new Usage();
  private readonly moved = new Set<string>();
  private tries = 0;

  constructor(view: StoreView, now: Millis) {
    this.view = view;
    this.now = now;
    this.usage.rebuild(view);
  }

  fullestFirst(): NodeInfo[] {
    return this.usage
      .nodes()
      .filter(({ node }) => takesTasks(node))
      .sort((a, b) => b.tasks - a.tasks);
  }

  /** One task of each service at most, so that the next turn looks at the nodes as they are then. */
  movesFrom(info: NodeInfo, max: number, better: Better): Move[] {
    const moves: Move[] = [];
    const tried = new Set<string>();
    for (const task of this.view.recordsOnNode(info.node.id)) {
      if (moves.length >= max || this.tries >= MAX_TRIES) break;
      if (tried.has(task.serviceId) || this.moved.has(task.id) || !isMovable(this.view, task)) continue;
      tried.add(task.serviceId);
      const to = this.move(task, info, better);
      if (to) moves.push({ taskId: task.id, fromNodeId: info.node.id, toNodeId: to.node.id });
    }
    return moves;
  }

  /** Moves the task in `usage` where that is better than to leave it. */
  private move(task: TaskRecord, from: NodeInfo, better: Better): NodeInfo | undefined {
    this.tries++;
    const { usage } = this;
    const need = needOf(this.view, task.group);
    usage.count(task, -1);
    const pool = usage.pool(need);
    const to = spreadOver(pool, need, usage.nodesThatKnow(need.serviceId), this.now, (info) => {
      usage.claim(info, need, task.id);
    }).next();
    if (to && to !== from && better(pool, usage, need.serviceId, from, to)) {
      this.moved.add(task.id);
      return to;
    }
    usage.unclaim(task.id);
    usage.count(task, 1);
    return undefined;
  }
}

/** A task that runs, alone in its slot, and can run elsewhere: it has nothing of its node's own disk. */
function isMovable(view: StoreView, task: TaskRecord): boolean {
  const service = view.service(task.serviceId);
  if (service?.spec?.mode?.$case !== "replicated" || isUpdating(service)) return false;
  if (!isWanted(task) || task.state !== TaskState.TASK_STATE_RUNNING) return false;
  if (task.specVersion !== service.specVersion) return false;
  return !(task.spec.container?.mounts ?? []).some(({ type }) => type !== "tmpfs");
}

/** Whether the task, counted at `to` now, is better off there than it was at `from`. */
type Better = (pool: Pool, usage: Usage, serviceId: string, from: NodeInfo, to: NodeInfo) => boolean;

const spreadsBetter: Better = (pool, usage, serviceId, from, to) => {
  const { there, here } = crowds(pool, usage, serviceId, from, to);
  return there < here;
};

/** The service is spread as well as before, on the node too, and the node has less to do. */
const isEmptier: Better = (pool, usage, serviceId, from, to) => {
  const { there, here } = crowds(pool, usage, serviceId, from, to);
  const asFew = to.tasksOf(serviceId) <= from.tasksOf(serviceId) + 1;
  return there <= here && asFew && to.tasks < from.tasks + 1;
};

/** Tasks of the service in the outermost branches in which the nodes differ: there with the task, and here with it. */
function crowds(pool: Pool, usage: Usage, serviceId: string, from: NodeInfo, to: NodeInfo) {
  const [theirs, ours] = [branchesOf(pool, to), branchesOf(pool, from)];
  const depth = theirs.findIndex((branch, i) => branch !== ours[i]);
  const [there, here] = [theirs[depth], ours[depth]];
  if (!there || !here) return { there: to.tasksOf(serviceId), here: from.tasksOf(serviceId) + 1 };
  const counts = { there: 0, here: 1 };
  for (const info of usage.nodesThatKnow(serviceId)) {
    const branches = branchesOf(pool, info);
    if (branches.includes(there)) counts.there += info.tasksOf(serviceId);
    if (branches.includes(here)) counts.here += info.tasksOf(serviceId);
  }
  return counts;
}

/** From the root down. */
function branchesOf(pool: Pool, info: NodeInfo): Branch[] {
  const found: Branch[] = [];
  for (let branch: Branch | undefined = pool.placeOf(info)?.leaf; branch; branch = branch.parent) {
    found.unshift(branch);
  }
  return found;
}
