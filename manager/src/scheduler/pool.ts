import type { Node } from "@creel/shared/gen/cluster/v1/objects.ts";
import { labelOf } from "./constraints.ts";
import { filters } from "./filters.ts";
import type { Need } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";

const lasting = filters.filter((f) => f.lasting);

/** A node in a pool, as it was when it was last looked at. */
export interface Place {
  readonly info: NodeInfo;
  node: Node;
  leaf: Leaf;
  tasks: number;
  /** Position in the leaf's level of nodes with so many tasks. */
  at: number;
}

/** Nodes with the same values of all labels that are spread over, by how many tasks they have. */
export class Leaf {
  readonly parent: Fork | undefined;
  nodes = 0;
  tasks = 0;
  /** Places by the number of tasks there; an index without any is a hole or empty. */
  readonly levels: Place[][] = [];
  private lowest = 0;

  constructor(parent: Fork | undefined) {
    this.parent = parent;
  }

  /** The level of the nodes with the fewest tasks. */
  lowestLevel(): number {
    while (this.lowest < this.levels.length && !this.levels[this.lowest]?.length) this.lowest++;
    return this.lowest;
  }

  add(place: Place): void {
    place.tasks = place.info.tasks;
    let level = this.levels[place.tasks];
    if (!level) {
      level = [];
      this.levels[place.tasks] = level;
    }
    place.at = level.length;
    level.push(place);
    this.lowest = Math.min(this.lowest, place.tasks);
    this.total(1, place.tasks);
  }

  remove(place: Place): void {
    const level = this.levels[place.tasks]!;
    const last = level.pop()!;
    if (last !== place) {
      level[place.at] = last;
      last.at = place.at;
    }
    this.total(-1, -place.tasks);
  }

  private total(nodes: number, tasks: number) {
    for (let branch: Branch | undefined = this; branch; branch = branch.parent) {
      branch.nodes += nodes;
      branch.tasks += tasks;
    }
  }
}

/** Nodes by their values of one label. */
export class Fork {
  readonly parent: Fork | undefined;
  nodes = 0;
  tasks = 0;
  readonly branches = new Map<string, Branch>();

  constructor(parent: Fork | undefined) {
    this.parent = parent;
  }
}

export type Branch = Leaf | Fork;

/**
 * The nodes that meet the lasting wishes of a kind of task, in the order in which they are to be filled. It serves all
 * services with the same wishes, from round to round; only nodes that changed are looked at again.
 */
export class Pool {
  readonly root: Branch;
  private readonly need: Need;
  private readonly spread: string[];
  private readonly places = new Map<NodeInfo, Place>();

  constructor(need: Need, infos: Iterable<NodeInfo>) {
    this.need = need;
    this.spread = need.spec.placement?.spread ?? [];
    this.root = this.spread.length > 0 ? new Fork(undefined) : new Leaf(undefined);
    for (const info of infos) this.update(info);
  }

  get size(): number {
    return this.places.size;
  }

  placeOf(info: NodeInfo): Place | undefined {
    return this.places.get(info);
  }

  /** Looks at the node again, where something about it changed. */
  update(info: NodeInfo): void {
    const place = this.places.get(info);
    if (place && place.node === info.node && !info.removed) {
      if (place.tasks === info.tasks) return;
      place.leaf.remove(place);
      place.leaf.add(place);
      return;
    }
    if (place) {
      place.leaf.remove(place);
      this.places.delete(info);
    }
    if (info.removed || !lasting.every((f) => f.passes(this.need, info))) return;
    const leaf = this.leafFor(info.node);
    const added = { info, node: info.node, leaf, tasks: 0, at: 0 };
    leaf.add(added);
    this.places.set(info, added);
  }

  private leafFor(node: Node): Leaf {
    let branch = this.root;
    for (let depth = 0; branch instanceof Fork; depth++) {
      const value = labelOf(node, this.spread[depth]!) ?? "";
      let next = branch.branches.get(value);
      if (!next) {
        next = depth + 1 < this.spread.length ? new Fork(branch) : new Leaf(branch);
        branch.branches.set(value, next);
      }
      branch = next;
    }
    return branch;
  }
}

/** The same for all services that are served by the same pool. */
export function poolKey({ spec, plugins }: Need): string {
  const { constraints = [], platforms = [], spread = [] } = spec.placement ?? {};
  return JSON.stringify([constraints, platforms, spread, plugins]);
}
