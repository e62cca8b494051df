import { type Node, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { PeerIdentity } from "@creel/shared/tls";
import type { StoreView } from "../store/mod.ts";

/**
 * The role a node has at this moment, on its way to the one its spec wishes: a promoted node may act as a manager at
 * once, a demoted one remains a manager until it is out of the Raft group.
 */
export function effectiveRole(node: Node): NodeRole {
  if (node.spec?.role === NodeRole.NODE_ROLE_MANAGER || node.manager) return NodeRole.NODE_ROLE_MANAGER;
  return NodeRole.NODE_ROLE_WORKER;
}

/**
 * The role a caller may act in: a manager's certificate alone makes no manager of a node that was demoted since. A
 * manager that has just joined and has no state yet goes by the certificate.
 */
export function actingRole({ nodeId, role }: PeerIdentity, view: StoreView): NodeRole | undefined {
  if (view.cluster().id === "") return role;
  const node = view.node(nodeId);
  if (!node) return undefined;
  return effectiveRole(node) === NodeRole.NODE_ROLE_MANAGER ? role : NodeRole.NODE_ROLE_WORKER;
}
