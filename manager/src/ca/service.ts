import { type Clock, CreelError, type Logger, type Millis, newId, type Random } from "@creel/shared";
import type { CaServer, IssueReply, IssueRequest } from "@creel/shared/gen/cluster/v1/ca.ts";
import {
  Availability,
  type Node,
  NodeRole,
  NodeState,
  type RootCa,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { type AuthenticatedCall, type PeerIdentity, roleName } from "@creel/shared/tls";
import type { ServerUnaryCall } from "@grpc/grpc-js";
import { unaryMethod } from "../handler.ts";
import { effectiveRole } from "../membership/roles.ts";
import type { Replica } from "../replica.ts";
import { DEFAULT_CERT_LIFE_MS, type issue } from "./authority.ts";
import { sameToken } from "./tokens.ts";
import { signerOf, trustedRoots } from "./trust.ts";

export interface CaOptions {
  replica: Replica;
  identityOf: (call: AuthenticatedCall) => PeerIdentity;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Signs a node's request with the root. */
  certify: typeof issue;
}

/** Hands out the root, and certificates: to strangers with a join token, to members who show the one they have. */
export class CertificateAuthority {
  readonly #options: CaOptions;

  constructor(options: CaOptions) {
    this.#options = options;
  }

  /** The gRPC service. Both methods are open to strangers: `issue` judges its caller itself. */
  service(): CaServer {
    const leader = () => this.#options.replica.leaderAddr();
    return {
      getRoot: unaryMethod(leader, async () => ({ certificate: Buffer.from(this.#root().certificate) })),
      issue: unaryMethod(leader, (request, call) => this.#issue(request, call)),
    };
  }

  #root(): RootCa {
    const root = this.#options.replica.view().cluster().rootCa;
    if (!root) throw new CreelError("no_leader");
    return root;
  }

  async #issue(request: IssueRequest, call: ServerUnaryCall<IssueRequest, IssueReply>): Promise<IssueReply> {
    if (request.token !== "") return await this.#admit(request);
    const peer = this.#options.identityOf(call);
    const node = (await this.#options.replica.linearizableView()).node(peer.nodeId);
    if (!node) throw new CreelError("node_removed", { id: peer.nodeId });
    return await this.#certify(node.id, effectiveRole(node), request.csr);
  }

  /** A new node, in the role its token is for; it exists in the store before it has a certificate. */
  async #admit(request: IssueRequest): Promise<IssueReply> {
    const { replica, random, logger } = this.#options;
    replica.requireLeader();
    const role = roleOf(request.token, this.#root(), this.#options.clock.now());
    const id = newId(random);
    const reply = await this.#certify(id, role, request.csr);
    const { refusals } = await replica.propose([
      { kind: { $case: "putNode", value: { node: newNode(id, role, request.availability), ifVersion: 0 } } },
    ]);
    if (refusals[0]) throw new CreelError(refusals[0].code, refusals[0].params);
    logger.info({ node: id, role: roleName(role) }, "a node was admitted");
    return reply;
  }

  async #certify(nodeId: string, role: NodeRole, csr: Uint8Array): Promise<IssueReply> {
    const { replica, clock, random, certify } = this.#options;
    const { id: clusterId, spec, dataPathPort } = replica.view().cluster();
    const root = this.#root();
    const signer = signerOf(root);
    const life = spec?.nodeCertExpiry || DEFAULT_CERT_LIFE_MS;
    const subject = { nodeId, role, clusterId };
    const certificate = await certify(signer.root, csr, subject, life, clock.now(), random);
    return {
      nodeId,
      role,
      clusterId,
      certificate: Buffer.from(certificate + signer.along),
      root: trustedRoots(root),
      dataPathPort,
    };
  }
}

function roleOf(token: string, root: RootCa, now: Millis): NodeRole {
  const manager = sameToken(token, root.managerToken);
  if (!manager && !sameToken(token, root.workerToken)) throw new CreelError("wrong_token");
  const expires = manager ? root.managerTokenExpires : root.workerTokenExpires;
  if (expires !== 0 && now >= expires) {
    throw new CreelError("expired_token", { at: new Date(expires).toISOString() });
  }
  return manager ? NodeRole.NODE_ROLE_MANAGER : NodeRole.NODE_ROLE_WORKER;
}

/** A node as it is before its agent was ever heard of. */
export function newNode(id: string, role: NodeRole, availability: Availability): Node {
  return {
    id,
    meta: undefined,
    spec: { name: "", labels: {}, role, availability: known(availability) },
    description: undefined,
    status: { state: NodeState.NODE_STATE_UNKNOWN, message: "", addr: "", since: 0 },
    manager: undefined,
    dataPathAddr: "",
    addresses: {},
    attachments: [],
  };
}

function known(availability: Availability): Availability {
  return Object.values(Availability).includes(availability) ? availability : Availability.AVAILABILITY_ACTIVE;
}
