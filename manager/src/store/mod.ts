export { attachedTo } from "./apply-attachments.ts";
export {
  type Change,
  type ChangeSet,
  fullChange,
  isEmpty,
  mergeChanges,
  noChange,
  type Refusal,
} from "./changes.ts";
export { type Cidr, contains, formatCidr, formatIp, overlaps, parseCidr, parseIp } from "./ip.ts";
export { encodeSnapshot, snapshotSlices } from "./snapshot.ts";
export { hasFailed, isFinished, isLive, isWanted, occupiesNode } from "./states.ts";
export { Store } from "./store.ts";
export { taskPorts } from "./task-ports.ts";
export type { AttachmentShape, TaskGroup, TaskRecord } from "./task-row.ts";
export type { StoreView } from "./view.ts";
