import type { Millis } from "@creel/shared";
import { filters } from "./filters.ts";
import { Heap } from "./heap.ts";
import type { Need } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";
import { type Branch, Fork, type Leaf, type Pool } from "./pool.ts";

const changing = filters.filter((f) => !f.lasting);
const MAX_TASKS = 2 ** 20;
const MAX_SERVICE_TASKS = 2 ** 20;
const MAX_FAILURES = 1000;

/** Something to take the next node from. */
export interface Source {
  /** The best node that has room; undefined when none has any more. */
  next(): NodeInfo | undefined;
}

/** What a walk through a pool is made for. */
interface Walk {
  need: Need;
  now: Millis;
  /** Nodes below a branch that have tasks of the service, or had failures of it. */
  own: Map<Branch, { tasks: number; infos: NodeInfo[] }>;
  /** Counts the task in. */
  take(info: NodeInfo): void;
}

/**
 * Gives nodes of the pool for one task of the service after the other: by the spread preferences first, then the node
 * with the fewest tasks of the service, then with the fewest tasks. Nodes where it keeps failing come last. `own` are
 * the nodes that know the service; `take` is to count the task in.
 */
export function spreadOver(
  pool: Pool,
  need: Need,
  own: Iterable<NodeInfo>,
  now: Millis,
  take: (info: NodeInfo) => void,
): Source {
  const walk: Walk = {
    need,
    now,
    own: new Map(),
    take: (info) => {
      take(info);
      pool.update(info);
    },
  };
  for (const info of own) {
    if (info.tasksOf(need.serviceId) === 0 && info.manyFailures(need.serviceId, now) === 0) continue;
    const leaf = pool.placeOf(info)?.leaf;
    for (let branch: Branch | undefined = leaf; branch; branch = branch.parent) {
      let known = walk.own.get(branch);
      if (!known) {
        known = { tasks: 0, infos: [] };
        walk.own.set(branch, known);
      }
      known.tasks += info.tasksOf(need.serviceId);
      if (branch === leaf) known.infos.push(info);
    }
  }
  return sourceOf(pool.root, walk);
}

function sourceOf(branch: Branch, walk: Walk): Source {
  return branch instanceof Fork ? new ForkSource(branch, walk) : new LeafSource(branch, walk);
}

interface Choice {
  branch: Branch;
  /** Tasks of the service below. */
  count: number;
  source: Source | undefined;
}

/** Takes from the branch with the fewest tasks of the service; of several, from the one that has least to do. */
class ForkSource implements Source {
  private readonly walk: Walk;
  private readonly choices: Heap<Choice>;

  constructor(fork: Fork, walk: Walk) {
    this.walk = walk;
    const choices = [...fork.branches.values()].map(
      (branch): Choice => ({ branch, count: walk.own.get(branch)?.tasks ?? 0, source: undefined }),
    );
    this.choices = new Heap(choices, (a, b) =>
      a.count === b.count
        ? a.branch.tasks * b.branch.nodes < b.branch.tasks * a.branch.nodes
        : a.count < b.count,
    );
  }

  next(): NodeInfo | undefined {
    for (let choice = this.choices.first(); choice; choice = this.choices.first()) {
      choice.source ??= sourceOf(choice.branch, this.walk);
      const info = choice.source.next();
      if (!info) {
        this.choices.dropFirst();
        continue;
      }
      choice.count++;
      this.choices.firstFellBack();
      return info;
    }
    return undefined;
  }
}

interface Known {
  info: NodeInfo;
  /** Failures, tasks of the service, tasks: packed. */
  key: number;
}

/** Takes nodes that the service does not know yet, the emptiest first; then those it knows. */
class LeafSource implements Source {
  private readonly leaf: Leaf;
  private readonly walk: Walk;
  private readonly known: Heap<Known>;
  private readonly knows: Set<NodeInfo>;
  /** Where to look next: a level, and a position in it from its end. */
  private level: number;
  private at = Number.POSITIVE_INFINITY;

  constructor(leaf: Leaf, walk: Walk) {
    this.leaf = leaf;
    this.walk = walk;
    const infos = walk.own.get(leaf)?.infos ?? [];
    this.knows = new Set(infos);
    this.known = new Heap(
      infos.map((info) => ({ info, key: this.key(info) })),
      (a, b) => a.key < b.key,
    );
    this.level = leaf.lowestLevel();
  }

  next(): NodeInfo | undefined {
    const fresh = this.nextFresh();
    if (fresh) {
      this.walk.take(fresh);
      this.knows.add(fresh);
      this.known.push({ info: fresh, key: this.key(fresh) });
      return fresh;
    }
    for (let known = this.known.first(); known; known = this.known.first()) {
      if (!this.hasRoom(known.info)) {
        this.known.dropFirst();
        continue;
      }
      this.walk.take(known.info);
      known.key = this.key(known.info);
      this.known.firstFellBack();
      return known.info;
    }
    return undefined;
  }

  /** Taking a node moves it a level up, and in its stead comes one from the end, which was looked at before. */
  private nextFresh(): NodeInfo | undefined {
    const { levels } = this.leaf;
    for (; this.level < levels.length; this.level++, this.at = Number.POSITIVE_INFINITY) {
      const places = levels[this.level];
      if (!places) continue;
      this.at = Math.min(this.at, places.length - 1);
      while (this.at >= 0) {
        const { info } = places[this.at--]!;
        if (!this.knows.has(info) && this.hasRoom(info)) return info;
      }
    }
    return undefined;
  }

  private hasRoom(info: NodeInfo): boolean {
    return changing.every((f) => f.passes(this.walk.need, info));
  }

  private key(info: NodeInfo): number {
    const { need, now } = this.walk;
    const failures = Math.min(info.manyFailures(need.serviceId, now), MAX_FAILURES);
    const ofService = clamp(info.tasksOf(need.serviceId), MAX_SERVICE_TASKS);
    return (failures * MAX_SERVICE_TASKS + ofService) * MAX_TASKS + clamp(info.tasks, MAX_TASKS);
  }
}

function clamp(n: number, end: number): number {
  return Math.min(Math.max(0, n), end - 1);
}
