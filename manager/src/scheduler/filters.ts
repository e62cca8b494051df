import type { Node, TaskSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { takesTasks } from "../loops/node-fitness.ts";
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
  /** In Docker's words, when `n` nodes were refused. */
  short(n: number): string;
  /** What the task asks for and does not get there. */
  detail(need: Need): string;
}

const onNodes = (what: string) => (n: number) => `${what} on ${n} ${n === 1 ? "node" : "nodes"}`;

const ready: Filter = {
  name: "ready",
  lasting: true,
  passes: (_, { node }) => takesTasks(node),
  short: (n) => `${n} ${n === 1 ? "node" : "nodes"} not available for new tasks`,
  detail: () => "down, paused or drained",
};

const plugin: Filter = {
  name: "plugin",
  lasting: true,
  passes: ({ plugins }, { node }) => plugins.every((name) => node.description?.plugins.includes(name)),
  short: onNodes("missing plugin"),
  detail: ({ plugins }) => `needs the plugin ${plugins.join(", ")}`,
};

const constraint: Filter = {
  name: "constraint",
  lasting: true,
  passes: (need, { node }) => need.constraints?.every((c) => meets(node, c)) ?? false,
  short: onNodes("scheduling constraints not satisfied"),
  detail: ({ spec }) => `needs ${(spec.placement?.constraints ?? []).join(", ")}`,
};

const platform: Filter = {
  name: "platform",
  lasting: true,
  passes: ({ spec }, { node }) => fitsPlatform(spec.placement?.platforms ?? [], node.description?.platform),
  short: onNodes("unsupported platform"),
  detail: ({ spec }) =>
    `needs ${(spec.placement?.platforms ?? []).map((p) => `${p.os}/${p.architecture}`).join(" or ")}`,
};

const resources: Filter = {
  name: "resources",
  lasting: false,
  passes: (need, info) => info.hasRoom(need),
  short: onNodes("insufficient resources"),
  detail: () => "too little is free",
};

const hostPort: Filter = {
  name: "host-port",
  lasting: false,
  passes: (need, info) => info.hasPorts(need),
  short: onNodes("host-mode port already in use"),
  detail: ({ hostPorts }) => `needs the host's port ${hostPorts.join(", ")}`,
};

const maxReplicas: Filter = {
  name: "max-replicas",
  lasting: false,
  passes: (need, info) => need.maxReplicas === 0 || info.tasksOf(need.serviceId) < need.maxReplicas,
  short: () => "max replicas per node limit exceed",
  detail: ({ maxReplicas }) => `at most ${maxReplicas} of the service on a node`,
};

/**
 * All filters, in the order in which a node has to pass them: what a node is comes before what is free there, so that
 * "too little memory" is said only of nodes that would do otherwise.
 */
export const filters: readonly Filter[] = [
  ready,
  plugin,
  constraint,
  platform,
  resources,
  hostPort,
  maxReplicas,
];

/** The first filter that refuses the node. */
export function refusedBy(need: Need, info: NodeInfo): Filter | undefined {
  return filters.find((f) => !f.passes(need, info));
}

/** Whether the node is of the kind that the spec asks for: its constraints and platforms, not what is free there. */
export function fitsSpec(spec: TaskSpec, node: Node): boolean {
  const constraints = constraintsOf(spec);
  return (
    (constraints?.every((c) => meets(node, c)) ?? false) &&
    fitsPlatform(spec.placement?.platforms ?? [], node.description?.platform)
  );
}
