import { CreelError, type Logger, type Random } from "@creel/shared";
import type {
  JoinReply,
  JoinRequest,
  LeaveReply,
  LeaveRequest,
  MembershipServer,
  StandingReply,
  StandingRequest,
} from "@creel/shared/gen/cluster/v1/ca.ts";
import { type Node, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { AuthenticatedCall, PeerIdentity } from "@creel/shared/tls";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { RaftServer } from "node-raft-server";
import { unaryMethod } from "../handler.ts";
import { hostOf } from "../peers.ts";
import type { Replica } from "../replica.ts";
import { effectiveRole } from "./roles.ts";

/** Read, change and propose again when somebody else changed the node in between. */
const MAX_ATTEMPTS = 10;

export interface MembershipOptions {
  replica: Replica;
  raft: RaftServer;
  identityOf: (call: AuthenticatedCall) => PeerIdentity;
  random: Random;
  logger: Logger;
}

/** Takes managers into the Raft group and out of it; only the leader does. */
export class Membership {
  readonly #options: MembershipOptions;
  /** Raft ids of joins under way: not to be taken for remains. */
  readonly joining = new Set<number>();
  /** Nodes that get another place in the group: for a moment they have none. */
  readonly rejoining = new Set<string>();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** The gRPC service. */
  service(): MembershipServer {
    const leader = () => this.#options.replica.leaderAddr();
    return {
      join: unaryMethod(leader, (request, call) => this.#join(request, call)),
      leave: unaryMethod(leader, (_request, call) => this.#leave(call)),
      standing: unaryMethod(leader, (request) => this.#standing(request)),
    };
  }

  /** The leader's own address, if it is another than the log says. */
  async moveSelf(nodeId: string, address: string): Promise<void> {
    const node = this.#options.replica.view().node(nodeId);
    if (node?.manager && node.manager.addr !== address) await this.#move(node, node.manager.raftId, address);
  }

  /** Takes the node out of the Raft group, and its place as a manager off the node. */
  async dismiss(node: Node, role: NodeRole): Promise<void> {
    const { raft, logger } = this.#options;
    const raftId = node.manager?.raftId ?? 0;
    if (isMember(raft, raftId)) {
      logger.info({ node: node.id, raft: raftId }, "a manager leaves the group");
      await raft.remove(raftId);
    }
    await this.#update(node.id, (known) => ({
      ...known,
      spec: { ...known.spec!, role },
      manager: undefined,
    }));
  }

  async #join(request: JoinRequest, call: ServerUnaryCall<JoinRequest, JoinReply>): Promise<JoinReply> {
    const { replica, raft, identityOf, random, logger } = this.#options;
    replica.requireLeader();
    const { nodeId } = identityOf(call);
    const node = replica.view().node(nodeId);
    if (!node) throw new CreelError("node_removed", { id: nodeId });
    if (effectiveRole(node) !== NodeRole.NODE_ROLE_MANAGER) {
      throw new CreelError("permission_denied", { role: "worker", method: "Membership/Join" });
    }
    const address = reachable(request.addr, call.getPeer());
    if (request.raftId !== 0) return await this.#move(node, request.raftId, address);
    // One that is on its way out of the group is not taken in again.
    if (node.spec?.role !== NodeRole.NODE_ROLE_MANAGER) {
      throw new CreelError("permission_denied", { role: "demoted manager", method: "Membership/Join" });
    }
    const id = newRaftId(random, raft);
    this.joining.add(id);
    this.rejoining.add(nodeId);
    try {
      // A manager that asks again has lost its log: its old place in the group can no longer be trusted.
      if (isMember(raft, node.manager?.raftId ?? 0)) await raft.remove(node.manager!.raftId);
      await raft.addLearner({ id, address });
      await this.#update(nodeId, (known) => ({ ...known, manager: { raftId: id, addr: address } }));
    } finally {
      this.joining.delete(id);
      this.rejoining.delete(nodeId);
    }
    logger.info({ node: nodeId, raft: id, address }, "a manager joins the group");
    return this.#placeOf(id);
  }

  /** A member is reached somewhere else now. */
  async #move(node: Node, raftId: number, address: string): Promise<JoinReply> {
    const { raft, logger } = this.#options;
    if (node.manager?.raftId !== raftId || !isMember(raft, raftId)) {
      throw new CreelError("node_removed", { id: node.id });
    }
    logger.info({ node: node.id, raft: raftId, address }, "a manager has a new address");
    await raft.updatePeer({ id: raftId, address });
    await this.#update(node.id, (known) => ({ ...known, manager: { raftId, addr: address } }));
    return this.#placeOf(raftId);
  }

  #placeOf(raftId: number): JoinReply {
    const { peers } = this.#options.raft.status();
    return { raftId, peers: peers.map((peer) => ({ raftId: peer.id, addr: peer.address })) };
  }

  async #leave(call: ServerUnaryCall<LeaveRequest, LeaveReply>): Promise<LeaveReply> {
    const { replica, identityOf } = this.#options;
    replica.requireLeader();
    const { nodeId } = identityOf(call);
    const node = replica.view().node(nodeId);
    if (node) await this.dismiss(node, NodeRole.NODE_ROLE_WORKER);
    return {};
  }

  /** Ids are given once: what is no member by now, and was one, was taken out. */
  async #standing({ raftId }: StandingRequest): Promise<StandingReply> {
    const { replica, raft } = this.#options;
    await replica.linearizableView();
    return { removed: !raft.status().peers.some((peer) => peer.id === raftId) };
  }

  async #update(nodeId: string, change: (node: Node) => Node): Promise<void> {
    const { replica } = this.#options;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const node = replica.view().node(nodeId);
      if (!node) return;
      const { refusals } = await replica.propose([
        {
          kind: { $case: "putNode", value: { node: change(node), ifVersion: node.meta?.version ?? 0 } },
        },
      ]);
      if (refusals.length === 0) return;
    }
    throw new CreelError("out_of_sequence");
  }
}

function isMember(raft: RaftServer, id: number): boolean {
  const { voters, learners } = raft.status();
  return voters.includes(id) || learners.includes(id);
}

/** A number that no member has; of 48 bits, so that one that was used before does not come again. */
export function newRaftId(random: Random, raft?: RaftServer): number {
  for (;;) {
    const id = Buffer.from(random.bytes(6)).readUIntBE(0, 6);
    if (id !== 0 && !raft?.status().peers.some((peer) => peer.id === id)) return id;
  }
}

/** The joiner's address as it says it; with the host we see it come from where it says none. */
function reachable(addr: string, peer: string): string {
  const at = addr.lastIndexOf(":");
  const host = addr.slice(0, at);
  if (at > 0 && !["", "0.0.0.0", "[::]"].includes(host)) return addr;
  const seen = hostOf(peer);
  return `${seen.includes(":") ? `[${seen}]` : seen}:${addr.slice(at + 1)}`;
}
