import type { Millis } from "@creel/shared";
import type { GenericResource, Node } from "@creel/shared/gen/cluster/v1/objects.ts";
import { hasFailed, isWanted, occupiesNode, type TaskRecord } from "../store/mod.ts";
import { type Claim, claimOf, type Need } from "./need.ts";

/** So many failures of a service on a node within so long, and the node comes last for it. */
const MANY_FAILURES = 5;
const RECENT = 5 * 60_000;
const NO_RESOURCES: GenericResource[] = Object.freeze([]) as unknown as GenericResource[];

/** What is taken on one node. */
export class NodeInfo {
  node: Node;
  /** It is no node of the cluster any more. */
  removed = false;
  /** Tasks that are wanted there. */
  tasks = 0;
  private readonly perService = new Map<string, number>();
  /** Made when there is something to put in: most nodes have none of these. */
  private taken: Map<string, number> | undefined;
  private takenNames: Map<string, Set<string>> | undefined;
  private hostPorts: Map<string, number> | undefined;
  private failures: Map<string, Millis[]> | undefined;

  constructor(node: Node) {
    this.node = node;
  }

  /** Counts a task in, or (`sign` -1) out again. */
  count(task: TaskRecord, sign: 1 | -1): void {
    if (hasFailed(task)) this.countFailure(task, sign);
    if (!occupiesNode(task)) return;
    this.take(claimOf(task.group), task.genericResources, sign);
    if (isWanted(task)) this.countWanted(task.serviceId, sign);
  }

  /** Counts in a task that is about to be placed here; gives what it gets. */
  claim(need: Need): GenericResource[] {
    const got = this.pick(need);
    this.take(need, got, 1);
    this.countWanted(need.serviceId, 1);
    return got;
  }

  unclaim(need: Need, got: GenericResource[]): void {
    this.take(need, got, -1);
    this.countWanted(need.serviceId, -1);
  }

  countWanted(serviceId: string, sign: 1 | -1): void {
    this.tasks += sign;
    add(this.perService, serviceId, sign);
  }

  tasksOf(serviceId: string): number {
    return this.perService.get(serviceId) ?? 0;
  }

  /** Whether the service runs here, or failed here lately. */
  knows(serviceId: string): boolean {
    return this.perService.has(serviceId) || this.failures?.has(serviceId) === true;
  }

  hasRoom(need: Need): boolean {
    for (const { resource, count } of need.amounts) if (count > this.free(resource)) return false;
    return true;
  }

  /** How much of the resource is not reserved. */
  free(resource: string): number {
    return totalOf(this.node, resource) - (this.taken?.get(resource) ?? 0);
  }

  hasPorts(need: Need): boolean {
    for (const port of need.hostPorts) if (this.hostPorts?.has(port)) return false;
    return true;
  }

  /** How often the service failed here lately, where that is often; else 0. */
  manyFailures(serviceId: string, now: Millis): number {
    const times = this.failures?.get(serviceId);
    if (!times || times.length < MANY_FAILURES) return 0;
    const recent = times.filter((t) => t > now - RECENT).length;
    return recent >= MANY_FAILURES ? recent : 0;
  }

  /** Generic resources for one more task: by name where the node names them. */
  private pick({ amounts }: Need): GenericResource[] {
    let got = NO_RESOURCES;
    for (const { resource: kind, count, generic } of amounts) {
      if (!generic) continue;
      const used = this.takenNames?.get(kind);
      const names = (this.node.description?.resources?.named[kind]?.names ?? [])
        .filter((name) => !used?.has(name))
        .slice(0, count);
      got = [...got, { kind, count, names }];
    }
    return got;
  }

  private take({ amounts, hostPorts }: Claim, generic: GenericResource[], sign: 1 | -1) {
    for (const { resource, count } of amounts) {
      this.taken ??= new Map();
      add(this.taken, resource, sign * count);
    }
    for (const port of hostPorts) {
      this.hostPorts ??= new Map();
      add(this.hostPorts, port, sign);
    }
    for (const { kind, names } of generic) for (const name of names) this.takeName(kind, name, sign);
  }

  private takeName(kind: string, name: string, sign: 1 | -1) {
    this.takenNames ??= new Map();
    const used = this.takenNames.get(kind) ?? new Set();
    this.takenNames.set(kind, used);
    if (sign > 0) used.add(name);
    else used.delete(name);
  }

  private countFailure(task: TaskRecord, sign: 1 | -1) {
    this.failures ??= new Map();
    const times = this.failures.get(task.serviceId) ?? [];
    if (sign > 0) times.push(task.statusAt);
    else times.splice(times.indexOf(task.statusAt), 1);
    if (times.length > 0) this.failures.set(task.serviceId, times);
    else this.failures.delete(task.serviceId);
  }
}

function totalOf({ description }: Node, resource: string): number {
  const all = description?.resources;
  if (resource === "cpu") return all?.nanoCpus ?? 0;
  if (resource === "memory") return all?.memoryBytes ?? 0;
  return all?.named[resource]?.names.length ?? all?.generic[resource] ?? 0;
}

function add(map: Map<string, number>, key: string, n: number) {
  const sum = (map.get(key) ?? 0) + n;
  if (sum === 0) map.delete(key);
  else map.set(key, sum);
}
