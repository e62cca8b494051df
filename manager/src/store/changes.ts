import type { ErrorCode, Millis } from "@creel/shared";
import type { Config, Network, Node, Secret, Service } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { TaskRecord } from "./task-row.ts";

/** One object: made when `before` is missing, removed when `after` is. */
export interface Change<T> {
  readonly before: T | undefined;
  readonly after: T | undefined;
}

/** An action, or one item of its list, that apply did not carry out. */
export interface Refusal {
  /** Position of the action in its entry. */
  readonly action: number;
  /** Position in the action's list; -1: the action as a whole. */
  readonly item: number;
  readonly code: ErrorCode;
  readonly params: Record<string, string | number>;
}

/** What one entry (or several, merged) did to the store. */
export interface ChangeSet {
  /** Log index before, and after. */
  readonly from: number;
  readonly index: number;
  /** Time of the (last) entry. */
  readonly time: Millis;
  /** Everything may have changed: look at the whole view. The maps are then empty. */
  readonly full: boolean;
  readonly cluster: boolean;
  readonly nodes: ReadonlyMap<string, Change<Node>>;
  readonly services: ReadonlyMap<string, Change<Service>>;
  readonly networks: ReadonlyMap<string, Change<Network>>;
  readonly secrets: ReadonlyMap<string, Change<Secret>>;
  readonly configs: ReadonlyMap<string, Change<Config>>;
  readonly tasks: ReadonlyMap<string, Change<TaskRecord>>;
  readonly refusals: readonly Refusal[];
}

const NONE: ReadonlyMap<string, never> = new Map<string, never>();

/** Nothing changed: what a loop gets that is called because its time has come. */
export function noChange(index: number, time: Millis): ChangeSet {
  return {
    from: index,
    index,
    time,
    full: false,
    cluster: false,
    nodes: NONE,
    services: NONE,
    networks: NONE,
    secrets: NONE,
    configs: NONE,
    tasks: NONE,
    refusals: [],
  };
}

/** Everything may have changed: after a restore, or when a leader begins. */
export function fullChange(index: number, time: Millis): ChangeSet {
  return { ...noChange(index, time), from: 0, full: true, cluster: true };
}

/** Whether nothing at all changed. */
export function isEmpty(c: ChangeSet): boolean {
  return (
    !c.full &&
    !c.cluster &&
    c.nodes.size === 0 &&
    c.services.size === 0 &&
    c.networks.size === 0 &&
    c.secrets.size === 0 &&
    c.configs.size === 0 &&
    c.tasks.size === 0
  );
}

/** Two successive change sets as one, for which the first is used up. Refusals are left out: their positions mean nothing any more. */
export function mergeChanges(first: ChangeSet, then: ChangeSet): ChangeSet {
  if (first.full || then.full) return { ...fullChange(then.index, then.time), from: first.from };
  return {
    from: first.from,
    index: then.index,
    time: then.time,
    full: false,
    cluster: first.cluster || then.cluster,
    nodes: mergeMaps(first.nodes, then.nodes),
    services: mergeMaps(first.services, then.services),
    networks: mergeMaps(first.networks, then.networks),
    secrets: mergeMaps(first.secrets, then.secrets),
    configs: mergeMaps(first.configs, then.configs),
    tasks: mergeMaps(first.tasks, then.tasks),
    refusals: [],
  };
}

/** Maps made by merging: nobody but the merged set has them, so the next merge adds to them. */
const merges = new WeakSet<object>();

function mergeMaps<T>(first: ReadonlyMap<string, Change<T>>, then: ReadonlyMap<string, Change<T>>) {
  if (first.size === 0) return then;
  if (then.size === 0) return first;
  const merged = merges.has(first) ? (first as Map<string, Change<T>>) : new Map(first);
  merges.add(merged);
  for (const [id, change] of then) noteChange(merged, id, change.before, change.after);
  return merged;
}

/** Adds a change of an object to what is known of it. */
export function noteChange<T>(
  map: Map<string, Change<T>>,
  id: string,
  before: T | undefined,
  after: T | undefined,
): void {
  const known = map.get(id);
  const first = known ? known.before : before;
  if (first === undefined && after === undefined) map.delete(id);
  else map.set(id, { before: first, after });
}
