import type { Node, TaskSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Availability, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { meets } from "./constraints.ts";
import { constraintsOf, type Need } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";
import { fitsPlatform } from "./platform.ts";

/** One reason why a node may not take a task. */
export interface Filter {
  readonly name: string;
  /** What it says stays the same while tasks are being placed. */
  readonly lasting: boolean;
  passes(need: Need, info: NodeInfo): boolean;
  /** In words, when `n` nodes were refused. */
  explain(n: number): string;
}

const onNodes = (what: string) => (n: number) => `${what} on ${n} ${n === 1 ? "node" : "nodes"}`;

const ready: Filter = {
  name: "ready",
  lasting: true,
  passes: (_, { node }) =>
    node.status?.state === NodeState.NODE_STATE_READY &&
    node.spec?.availability === Availability.AVAILABILITY_ACTIVE,
  explain: (n) => `${n} ${n === 1 ? "node" : "nodes"} not available for new tasks`,
};

const resources: Filter = {
  name: "resources",
  lasting: false,
  passes: (need, info) => info.hasRoom(need),
  explain: onNodes("insufficient resources"),
};

const constraint: Filter = {
  name: "constraint",
  lasting: true,
  passes: (need, { node }) => need.constraints?.every((c) => meets(node, c)) ?? false,
  explain: onNodes("scheduling constraints not satisfied"),
};

const platform: Filter = {
  name: "platform",
  lasting: true,
  passes: ({ spec }, { node }) => fitsPlatform(spec.placement?.platforms ?? [], node.description?.platform),
  explain: onNodes("unsupported platform"),
};

const hostPort: Filter = {
  name: "host-port",
  lasting: false,
  passes: (need, info) => info.hasPorts(need),
  explain: onNodes("host-mode port already in use"),
};

const maxReplicas: Filter = {
  name: "max-replicas",
  lasting: false,
  passes: (need, info) => need.maxReplicas === 0 || info.tasksOf(need.serviceId) < need.maxReplicas,
  explain: () => "max replicas per node limit exceed",
};

/** All filters, in the order in which a node has to pass them. */
export const filters: readonly Filter[] = [ready, resources, constraint, platform, hostPort, maxReplicas];

/** The first filter that refuses the node. */
export function refusedBy(need: Need, info: NodeInfo): Filter | undefined {
  return filters.find((f) => !f.passes(need, info));
}

/** Why none of the nodes took the task, as Docker words it. */
export function explain(need: Need, infos: Iterable<NodeInfo>): string {
  const counts = new Map<Filter, number>();
  for (const info of infos) {
    const filter = refusedBy(need, info);
    if (filter) counts.set(filter, (counts.get(filter) ?? 0) + 1);
  }
  const reasons = [...counts].sort((a, b) => b[1] - a[1]).map(([filter, n]) => filter.explain(n));
  return reasons.length === 0 ? "no suitable node" : `no suitable node (${reasons.join("; ")})`;
}

/** Whether the node is of the kind that the spec asks for: its constraints and platforms, not what is free there. */
export function fitsSpec(spec: TaskSpec, node: Node): boolean {
  const constraints = constraintsOf(spec);
  return (
    (constraints?.every((c) => meets(node, c)) ?? false) &&
    fitsPlatform(spec.placement?.platforms ?? [], node.description?.platform)
  );
}
