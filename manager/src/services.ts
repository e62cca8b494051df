import {
  type CaServer,
  CaService,
  type MembershipServer,
  MembershipService,
} from "@creel/shared/gen/cluster/v1/ca.ts";
import { type ControlServer, ControlService } from "@creel/shared/gen/cluster/v1/control.ts";
import { type DispatcherServer, DispatcherService } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type RaftServer, RaftService } from "@creel/shared/gen/cluster/v1/raft.ts";
import type { NodeServer } from "@creel/shared/tls";

/** What a manager serves on its node's TLS port. */
export interface ManagerServices {
  raft: RaftServer;
  ca: CaServer;
  membership: MembershipServer;
  control: ControlServer;
  dispatcher: DispatcherServer;
}

const MANAGERS = [NodeRole.NODE_ROLE_MANAGER];
const MEMBERS = [NodeRole.NODE_ROLE_MANAGER, NodeRole.NODE_ROLE_WORKER];

/** Serves a manager's services, each method to those it is for; returns what takes them away again. */
export function serve(server: NodeServer, services: ManagerServices): () => void {
  server.add(RaftService, services.raft, { exchange: MANAGERS });
  server.add(CaService, services.ca, { getRoot: "anyone", issue: "anyone" });
  // Who was taken out is a manager no longer, and may ask all the same.
  const membership = { join: MANAGERS, leave: MANAGERS, standing: MEMBERS };
  server.add(MembershipService, services.membership, membership);
  server.add(ControlService, services.control, { do: MANAGERS });
  server.add(DispatcherService, services.dispatcher, { session: MEMBERS });
  return () => {
    for (const service of [RaftService, CaService, MembershipService, ControlService, DispatcherService]) {
      server.remove(service);
    }
  };
}
