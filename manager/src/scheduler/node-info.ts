import type { Millis } from "@creel/shared";
import type { Node } from "@creel/shared/gen/cluster/v1/objects.ts";
import { hasFailed, isWanted, occupiesNode, type TaskRecord } from "../store/mod.ts";
import { type Claim, claimOf, type Need } from "./need.ts";

/** So many failures of a service on a node within so long, and the node comes last for it. */
const MANY_FAILURES = 5;
const RECENT = 5 * 60_000;

/** What is taken on one node. */
export class NodeInfo {
  node: Node;
  /** Tasks that are wanted there. */
  tasks = 0;
  private readonly taken = new Map<string, number>();
  private readonly perService = new Map<string, number>();
  private readonly hostPorts = new Map<string, number>();
  private readonly failures = new Map<string, Millis[]>();

  constructor(node: Node) {
    this.node = node;
  }

  /** Counts a task in, or (`sign` -1) out again. */
  count(task: TaskRecord, sign: 1 | -1): void {
    if (hasFailed(task)) this.countFailure(task, sign);
    if (!occupiesNode(task)) return;
    this.take(claimOf(task.group), sign);
    if (isWanted(task)) this.countWanted(task.serviceId, sign);
  }

  /** The same for a task that is about to be placed here. */
  claim(need: Need, sign: 1 | -1): void {
    this.take(need, sign);
    this.countWanted(need.serviceId, sign);
  }

  countWanted(serviceId: string, sign: 1 | -1): void {
    this.tasks += sign;
    add(this.perService, serviceId, sign);
  }

  tasksOf(serviceId: string): number {
    return this.perService.get(serviceId) ?? 0;
  }

  hasRoom(need: Need): boolean {
    return need.amounts.every(({ resource, count }) => count <= this.free(resource));
  }

  /** How much of the resource is not reserved. */
  free(resource: string): number {
    return totalOf(this.node, resource) - (this.taken.get(resource) ?? 0);
  }

  hasPorts(need: Need): boolean {
    return !need.hostPorts.some((port) => this.hostPorts.has(port));
  }

  /** How often the service failed here lately, where that is often; else 0. */
  manyFailures(serviceId: string, now: Millis): number {
    const times = this.failures.get(serviceId);
    if (!times || times.length < MANY_FAILURES) return 0;
    const recent = times.filter((t) => t > now - RECENT).length;
    return recent >= MANY_FAILURES ? recent : 0;
  }

  private take({ amounts, hostPorts }: Claim, sign: 1 | -1) {
    for (const { resource, count } of amounts) add(this.taken, resource, sign * count);
    for (const port of hostPorts) add(this.hostPorts, port, sign);
  }

  private countFailure(task: TaskRecord, sign: 1 | -1) {
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
  return all?.generic[resource] ?? 0;
}

function add(map: Map<string, number>, key: string, n: number) {
  const sum = (map.get(key) ?? 0) + n;
  if (sum === 0) map.delete(key);
  else map.set(key, sum);
}
