import type { PortConfig, TaskSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView, TaskGroup } from "../store/mod.ts";
import { type Constraint, parseConstraint } from "./constraints.ts";

/** So much of `cpu` (in billionths), `memory` (in bytes) or a kind of generic resource. */
export interface Amount {
  resource: string;
  count: number;
  generic: boolean;
}

/** What a task takes of its node. */
export interface Claim {
  /** What is reserved, without zeros. */
  amounts: Amount[];
  /** `8080/tcp`; host-mode ports with a fixed number. */
  hostPorts: string[];
}

/** What a task asks of its node, read once for each distinct spec. */
export interface Need extends Claim {
  serviceId: string;
  spec: TaskSpec;
  /** Undefined: one of them cannot be understood, so no node meets them. */
  constraints: Constraint[] | undefined;
  /** `Volume/nfs`, `Log/local`, `Network/overlay`: what the node's engine must have. */
  plugins: string[];
  maxReplicas: number;
}

const claims = new WeakMap<Asking, Claim>();
const constraintsOfSpec = new WeakMap<TaskSpec, { constraints: Constraint[] | undefined }>();

/** What tasks of a service's version ask for. */
export type Asking = Pick<TaskGroup, "serviceId" | "spec" | "ports">;

export function needOf(view: StoreView, asking: Asking): Need {
  const { serviceId, spec } = asking;
  return {
    serviceId,
    spec,
    constraints: constraintsOf(spec),
    plugins: pluginsOf(view, spec),
    ...claimOf(asking),
    maxReplicas: spec.placement?.maxReplicas ?? 0,
  };
}

/** The spec's constraints; undefined when one cannot be understood. */
export function constraintsOf(spec: TaskSpec): Constraint[] | undefined {
  let known = constraintsOfSpec.get(spec);
  if (!known) {
    const parsed = (spec.placement?.constraints ?? []).map(parseConstraint);
    const good = parsed.filter((c): c is Constraint => "key" in c);
    known = { constraints: good.length === parsed.length ? good : undefined };
    constraintsOfSpec.set(spec, known);
  }
  return known.constraints;
}

/** What tasks of the group take: the same object for the same group. */
export function claimOf(group: Asking): Claim {
  let known = claims.get(group);
  if (!known) {
    known = { amounts: amountsOf(group.spec), hostPorts: hostPortsOf(group.ports) };
    claims.set(group, known);
  }
  return known;
}

function amountsOf({ reservations }: TaskSpec): Amount[] {
  if (!reservations) return [];
  return [
    { resource: "cpu", count: reservations.nanoCpus, generic: false },
    { resource: "memory", count: reservations.memoryBytes, generic: false },
    ...Object.entries(reservations.generic).map(([resource, count]) => ({ resource, count, generic: true })),
  ].filter(({ count }) => count > 0);
}

function hostPortsOf(ports: PortConfig[]): string[] {
  return ports
    .filter((p) => p.publishMode === "host" && p.publishedPort !== 0)
    .map((p) => `${p.publishedPort}/${p.protocol}`);
}

function pluginsOf(view: StoreView, { container, logDriver, networks }: TaskSpec): string[] {
  const plugins = new Set<string>();
  for (const { type, volumeDriver } of container?.mounts ?? []) {
    if (type === "volume" && volumeDriver !== "") plugins.add(`Volume/${volumeDriver}`);
  }
  const log = logDriver?.name ?? "";
  if (log !== "" && log !== "none") plugins.add(`Log/${log}`);
  for (const { target } of networks) {
    const driver = view.network(target)?.spec?.driver ?? "";
    if (driver !== "") plugins.add(`Network/${driver}`);
  }
  return [...plugins];
}
