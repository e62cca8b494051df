import type { Millis } from "@creel/shared";
import { labelOf } from "./constraints.ts";
import { filters } from "./filters.ts";
import type { Need } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";

const changing = filters.filter((f) => !f.lasting);
const MAX_TASKS = 2 ** 20;
const MAX_SERVICE_TASKS = 2 ** 20;

/** Something to take the next node from. */
interface Source {
  /** Tasks of the service below. */
  count: number;
  /** The best node that has room; undefined when none has any more. */
  next(): NodeInfo | undefined;
}

/**
 * Gives nodes for one task after the other: by the spread preferences first, then the node with the fewest tasks of
 * the service, then with the fewest tasks. `take` is to count the task in before the next is asked for.
 */
export function spreadOver(
  infos: NodeInfo[],
  need: Need,
  now: Millis,
  take: (info: NodeInfo) => void,
): { next(): NodeInfo | undefined } {
  return branch(infos, need, now, take, need.spec.placement?.spread ?? []);
}

function branch(
  infos: NodeInfo[],
  need: Need,
  now: Millis,
  take: (info: NodeInfo) => void,
  preferences: string[],
): Source {
  const [preference, ...rest] = preferences;
  if (preference === undefined) return new Leaf(infos, need, now, take);
  const groups = new Map<string, NodeInfo[]>();
  for (const info of infos) {
    const value = labelOf(info.node, preference) ?? "";
    const group = groups.get(value);
    if (group) group.push(info);
    else groups.set(value, [info]);
  }
  return new Fork([...groups.values()].map((group) => branch(group, need, now, take, rest)));
}

class Fork implements Source {
  count: number;
  private branches: Source[];

  constructor(branches: Source[]) {
    this.branches = branches;
    this.count = branches.reduce((sum, b) => sum + b.count, 0);
  }

  next(): NodeInfo | undefined {
    while (this.branches.length > 0) {
      const least = this.branches.reduce((a, b) => (b.count < a.count ? b : a));
      const info = least.next();
      if (info) {
        this.count++;
        return info;
      }
      this.branches = this.branches.filter((b) => b !== least);
    }
    return undefined;
  }
}

/** Nodes in a binary heap by a packed key: failures, tasks of the service, tasks. */
class Leaf implements Source {
  count: number;
  private readonly heap: NodeInfo[];
  private readonly keys = new Map<NodeInfo, number>();
  private readonly need: Need;
  private readonly now: Millis;
  private readonly take: (info: NodeInfo) => void;

  constructor(infos: NodeInfo[], need: Need, now: Millis, take: (info: NodeInfo) => void) {
    this.need = need;
    this.now = now;
    this.take = take;
    this.heap = infos.slice();
    for (const info of infos) this.keys.set(info, this.key(info));
    this.count = infos.reduce((sum, i) => sum + i.tasksOf(need.serviceId), 0);
    for (let i = (this.heap.length >>> 1) - 1; i >= 0; i--) this.sink(i);
  }

  next(): NodeInfo | undefined {
    while (this.heap.length > 0) {
      const info = this.heap[0]!;
      if (changing.every((f) => f.passes(this.need, info))) {
        this.take(info);
        this.count++;
        this.keys.set(info, this.key(info));
        this.sink(0);
        return info;
      }
      const last = this.heap.pop()!;
      if (this.heap.length > 0) {
        this.heap[0] = last;
        this.sink(0);
      }
    }
    return undefined;
  }

  private key(info: NodeInfo): number {
    const { serviceId } = this.need;
    const failures = Math.min(info.manyFailures(serviceId, this.now), 1000);
    const ofService = Math.min(Math.max(0, info.tasksOf(serviceId)), MAX_SERVICE_TASKS - 1);
    return (
      (failures * MAX_SERVICE_TASKS + ofService) * MAX_TASKS +
      Math.min(Math.max(0, info.tasks), MAX_TASKS - 1)
    );
  }

  private sink(start: number) {
    const { heap, keys } = this;
    const moving = heap[start]!;
    const key = keys.get(moving)!;
    let i = start;
    for (let child = 2 * i + 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && keys.get(heap[child + 1]!)! < keys.get(heap[child]!)!) child++;
      if (keys.get(heap[child]!)! >= key) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = moving;
  }
}
