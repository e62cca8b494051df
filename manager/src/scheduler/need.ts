import type { PortConfig, TaskSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Constraint, parseConstraint } from "./constraints.ts";

/** What a task asks of its node, read once for each distinct spec. */
export interface Need {
  serviceId: string;
  spec: TaskSpec;
  /** Undefined: one of them cannot be understood, so no node meets them. */
  constraints: Constraint[] | undefined;
  nanoCpus: number;
  memoryBytes: number;
  generic: [string, number][];
  /** `8080/tcp`; host-mode ports with a fixed number. */
  hostPorts: string[];
  maxReplicas: number;
}

const constraintsOfSpec = new WeakMap<TaskSpec, { constraints: Constraint[] | undefined }>();

export function needOf(serviceId: string, spec: TaskSpec, ports: PortConfig[]): Need {
  const { nanoCpus = 0, memoryBytes = 0, generic = {} } = spec.reservations ?? {};
  return {
    serviceId,
    spec,
    constraints: constraintsOf(spec),
    nanoCpus,
    memoryBytes,
    generic: Object.entries(generic),
    hostPorts: hostPortsOf(ports),
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

export function hostPortsOf(ports: PortConfig[]): string[] {
  return ports
    .filter((p) => p.publishMode === "host" && p.publishedPort !== 0)
    .map((p) => `${p.publishedPort}/${p.protocol}`);
}
