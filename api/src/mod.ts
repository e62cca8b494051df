export type { ApiContext, NodeFacts } from "./context.ts";
export { type DockerEvent, EventHub } from "./events.ts";
export { MIN_VERSION } from "./http/version.ts";
export type {
  ClusterEvent,
  ClusterPort,
  ClusterView,
  EnginePort,
  InitRequest,
  JoinRequest,
  LocalNodeState,
  ManagerStatus,
  MetricsPort,
  PlannedCluster,
} from "./ports.ts";
export { type Api, createApi } from "./server.ts";
