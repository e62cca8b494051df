import { type Clock, CreelError, isCreelError, type Logger, type Random, sleep } from "@creel/shared";
import {
  type ControlReply,
  type ControlRequest,
  type ControlServer,
  ControlService,
} from "@creel/shared/gen/cluster/v1/control.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { leaderOf, type Peers } from "@creel/shared/tls";
import { CONFIGS, SECRETS } from "../data.ts";
import { unaryMethod } from "../handler.ts";
import type { Replica } from "../replica.ts";
import type { Change, ControlContext } from "./change.ts";
import { updateCluster } from "./cluster.ts";
import { createData, removeData, rotateData, updateData } from "./data.ts";
import { invalid } from "./names.ts";
import { createNetwork, removeNetwork } from "./networks.ts";
import { removeNode, updateNode } from "./nodes.ts";
import { startRebalance } from "./rebalance.ts";
import { createService, removeService, updateService } from "./services.ts";

const FORWARD_TIMEOUT_MS = 25_000;
/** How long a request waits for a leader before the user hears that there is none. */
const LEADER_WAIT_MS = 10_000;
const LEADER_RETRY_MS = 200;

export interface ControlOptions {
  replica: Replica;
  peers: Peers;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Carries out what users ask of the cluster: on the leader here, on another manager by handing it to the leader. */
export class Control {
  readonly #options: ControlOptions;

  constructor(options: ControlOptions) {
    this.#options = options;
  }

  /** The gRPC service for other managers. */
  service(): ControlServer {
    const { replica } = this.#options;
    return {
      do: unaryMethod(
        () => replica.leaderAddr(),
        (request) => this.#carryOut(request),
      ),
    };
  }

  /** For users of this manager; when it resolves, this manager's own view holds the change. */
  async do(request: ControlRequest): Promise<ControlReply> {
    const { replica, clock } = this.#options;
    const end = clock.now() + LEADER_WAIT_MS;
    for (;;) {
      try {
        if (replica.leading) return await this.#carryOut(request);
        const reply = await this.#forward(request);
        await replica.waitApplied(reply.index);
        return reply;
      } catch (error) {
        // Both say that nothing was done: asking again is safe.
        const nobody = isCreelError(error, "no_leader") || leaderOf(error) !== undefined;
        if (!nobody || clock.now() >= end)
          throw nobody ? new CreelError("no_leader", {}, { cause: error }) : error;
        await sleep(clock, LEADER_RETRY_MS);
      }
    }
  }

  async #forward(request: ControlRequest): Promise<ControlReply> {
    const { replica, peers } = this.#options;
    const leader = replica.leaderAddr();
    if (leader === "" || replica.status().role === "leader") throw new CreelError("no_leader");
    const role = NodeRole.NODE_ROLE_MANAGER;
    const peer = peers.open<ControlServer>(ControlService, leader, { role }, FORWARD_TIMEOUT_MS);
    try {
      return await peer.calls.do(request);
    } finally {
      peer.close();
    }
  }

  async #carryOut(request: ControlRequest): Promise<ControlReply> {
    const { replica, clock, random } = this.#options;
    replica.requireLeader();
    const context: ControlContext = { view: replica.view(), raft: replica.status(), clock, random };
    const { kind } = request;
    const {
      actions,
      id,
      warnings,
      moves = [],
    } = kind?.$case === "updateCluster"
      ? await updateCluster(kind.value, context)
      : changeFor(request, context);
    if (actions.length === 0) return { id, index: context.view.index, warnings, moves };
    const { index, refusals } = await replica.propose(actions);
    if (refusals[0]) throw new CreelError(refusals[0].code, refusals[0].params);
    return { id, index, warnings, moves };
  }
}

/** What a request comes to, checked against the state it is made for. */
export function changeFor({ kind }: ControlRequest, context: ControlContext): Change {
  switch (kind?.$case) {
    case "updateCluster":
      throw new CreelError("unsupported", { message: "changes of the swarm's own settings have no plan" });
    case "createService":
      return createService(required(kind.value.spec), context);
    case "updateService":
      return updateService(kind.value, context);
    case "removeService":
      return removeService(kind.value, context);
    case "updateNode":
      return updateNode(kind.value, context);
    case "removeNode":
      return removeNode(kind.value, context);
    case "createNetwork":
      return createNetwork(required(kind.value.spec), context);
    case "removeNetwork":
      return removeNetwork(kind.value, context);
    case "createSecret":
      return createData(SECRETS, required(kind.value.spec), kind.value.data, context);
    case "updateSecret":
      return updateData(SECRETS, { ...kind.value, spec: required(kind.value.spec) }, context);
    case "removeSecret":
      return removeData(SECRETS, kind.value, context);
    case "rotateSecret":
      return rotateData(SECRETS, kind.value, context);
    case "createConfig":
      return createData(CONFIGS, required(kind.value.spec), kind.value.data, context);
    case "updateConfig":
      return updateData(CONFIGS, { ...kind.value, spec: required(kind.value.spec) }, context);
    case "removeConfig":
      return removeData(CONFIGS, kind.value, context);
    case "rotateConfig":
      return rotateData(CONFIGS, kind.value, context);
    case "rebalance":
      return startRebalance(kind.value, context);
    case undefined:
      throw new CreelError("unsupported", { message: "a request of a newer version" });
  }
}

function required<T>(spec: T | undefined): T {
  if (spec === undefined) throw invalid("spec is missing");
  return spec;
}
