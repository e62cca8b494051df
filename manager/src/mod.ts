export { type Joined, type JoinOptions, joinCluster, renewalDelay, renewIdentity } from "./ca/join.ts";
export { parseUnlockKey } from "./ca/unlock-key.ts";
export { type NewCluster, type NewClusterOptions, newCluster } from "./cluster.ts";
export type { ClusterEvent } from "./events.ts";
export { addressOf } from "./logs.ts";
export { Manager, type ManagerOptions, type ManagerStatus, startManager } from "./manager.ts";
export type { ManagerPorts } from "./ports.ts";
export type { ChangeSet, StoreView } from "./store/mod.ts";
