import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";

/** What a node's role consists of. */
export interface RolePorts {
  /** The role of the node's certificate. */
  certified(): NodeRole;
  /** Gets a new certificate, for the role that the managers say. */
  renew(): Promise<void>;
  /** Whether a manager runs here. */
  manages(): boolean;
  startManager(): Promise<void>;
  /** Ends the manager, if there is one; its log is of no use any more. */
  endManager(): Promise<void>;
}

/** Makes the node what its managers want it to be. Its certificate is newer than the wish: they may have changed their mind. */
export async function takeRole(wish: NodeRole, ports: RolePorts): Promise<void> {
  if (wish === NodeRole.NODE_ROLE_WORKER) await ports.endManager();
  if (ports.certified() !== wish) await ports.renew();
  // one that was just starting has come up meanwhile
  if (ports.certified() === NodeRole.NODE_ROLE_WORKER) await ports.endManager();
  else if (!ports.manages()) await ports.startManager();
}
