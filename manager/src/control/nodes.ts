import { CreelError } from "@creel/shared";
import type { RemoveNode, UpdateNode } from "@creel/shared/gen/cluster/v1/control.ts";
import { Availability, type Node, NodeRole, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Change, ControlContext } from "./change.ts";
import { invalid } from "./names.ts";

/** A node's labels, availability or role. */
export function updateNode(request: UpdateNode, context: ControlContext): Change {
  const known = context.view.node(request.id);
  if (!known) throw new CreelError("no_such_node", { id: request.id });
  if (request.version !== known.meta?.version) throw new CreelError("out_of_sequence");
  const { spec } = request;
  if (!spec) throw invalid("spec is missing");
  if (!Object.values(Availability).includes(spec.availability)) throw invalid("invalid availability");
  if (!Object.values(NodeRole).includes(spec.role)) throw invalid("invalid role");
  if (isManager(known) && spec.role === NodeRole.NODE_ROLE_WORKER) checkDemotion(known, context);
  return {
    actions: [
      { kind: { $case: "putNode", value: { node: { ...known, spec }, ifVersion: request.version } } },
    ],
    id: known.id,
    warnings: [],
  };
}

/** Takes a node away that is down, or (forced) that answers still. */
export function removeNode(request: RemoveNode, { view }: ControlContext): Change {
  const known = view.node(request.id);
  if (!known) throw new CreelError("no_such_node", { id: request.id });
  if (known.manager) throw new CreelError("node_is_manager", { id: known.id });
  if (!request.force && known.status?.state === NodeState.NODE_STATE_READY) {
    throw new CreelError("node_not_down", { id: known.id });
  }
  return { actions: [{ kind: { $case: "removeNode", value: known.id } }], id: known.id, warnings: [] };
}

function isManager(node: Node): boolean {
  return node.spec?.role === NodeRole.NODE_ROLE_MANAGER;
}

function checkDemotion(node: Node, { view, raft }: ControlContext): void {
  if (view.nodes().filter(isManager).length <= 1) throw new CreelError("demote_last_manager");
  const raftId = node.manager?.raftId ?? 0;
  if (!raft.voters.includes(raftId)) return;
  const active = (id: number) =>
    id === raft.id || raft.progress.some((progress) => progress.id === id && progress.active);
  const left = raft.voters.filter((id) => id !== raftId);
  if (left.filter(active).length <= left.length / 2) throw new CreelError("quorum_would_be_lost");
}
