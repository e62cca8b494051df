import { type Node, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";

/**
 * The role a node has at this moment, on its way to the one its spec wishes: a promoted node may act as a manager at
 * once, a demoted one remains a manager until it is out of the Raft group.
 */
export function effectiveRole(node: Node): NodeRole {
  if (node.spec?.role === NodeRole.NODE_ROLE_MANAGER || node.manager) return NodeRole.NODE_ROLE_MANAGER;
  return NodeRole.NODE_ROLE_WORKER;
}
