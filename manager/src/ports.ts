import { type Peers, tlsPeers } from "@creel/shared/tls";
import type { RaftOptions } from "node-raft-server";
import { issue } from "./ca/authority.ts";
import { diskFiles, type Files } from "./files.ts";
import type { ManagerOptions } from "./manager.ts";

/** What lies between a manager and the world beside the node's port; a simulation brings its own. */
export interface ManagerPorts {
  peers: Peers;
  files: Files;
  /** Signs a node's request with the cluster's root. */
  certify: typeof issue;
  /** Carries Raft's messages for the member `id`; left out: gRPC, by the node's port. */
  raftTransport?: (id: number) => RaftOptions["transport"];
}

/** The ports of `options`, and the real ones where it names none. */
export function portsOf({ identity, ports }: Pick<ManagerOptions, "identity" | "ports">): ManagerPorts {
  return { peers: tlsPeers(identity), files: diskFiles, certify: issue, ...ports };
}
