import type { Clock, Logger } from "@creel/shared";
import type { NodeResources } from "./cluster.ts";
import type { EventHub } from "./events.ts";
import type { ClusterPort, EnginePort, MetricsPort } from "./ports.ts";

/** What a node says of itself beside what the engine knows. */
export interface NodeFacts {
  /** Creel's version. */
  version: string;
  commit: string;
  /** Stable id of this engine, made at its first start. */
  id: string;
  /** Engine labels, `name=value`. */
  labels: string[];
  genericResources: Pick<NodeResources, "generic" | "named">;
  debug: boolean;
}

/** What every resource of the API works with. */
export interface ApiContext {
  engine: EnginePort;
  cluster: ClusterPort;
  events: EventHub;
  facts: NodeFacts;
  metrics: MetricsPort;
  clock: Clock;
  logger: Logger;
  /** The host name as it is now. */
  hostname(): string;
}
