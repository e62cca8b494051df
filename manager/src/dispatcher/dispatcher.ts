import {
  type Clock,
  CreelError,
  isCreelError,
  type Logger,
  messageOf,
  type Random,
  type Timer,
} from "@creel/shared";
import type {
  AttachmentReport,
  DispatcherServer,
  Hello,
  StatusReport,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import {
  type NodeDescription,
  NodeRole,
  NodeState,
  type NodeStatus,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { AuthenticatedCall, Caller } from "@creel/shared/tls";
import { Metadata } from "@grpc/grpc-js";
import { Batcher } from "../batcher.ts";
import { trustedRoots } from "../ca/trust.ts";
import { refusal } from "../handler.ts";
import { effectiveRole } from "../membership/roles.ts";
import { hostOf } from "../peers.ts";
import type { Replica } from "../replica.ts";
import { type ChangeSet, fullChange, isFinished, type StoreView, type TaskRecord } from "../store/mod.ts";
import { judgeAttachments } from "./attachments.ts";
import { Endpoints } from "./endpoints.ts";
import { GRACE_PERIODS, Liveness } from "./liveness.ts";
import { type AgentStream, Session, type SessionHost } from "./session.ts";

const DEFAULT_HEARTBEAT_MS = 5_000;
/** Changes that come together are sent together. */
const DRAIN_DELAY_MS = 5;
/** The next drain waits so long for each session that the last one served: the more they are, the fewer, larger messages. */
const REST_PER_SESSION_MS = 0.3;
const MAX_REST_MS = 100;
/** Sessions served before others get their turn on the thread. */
const DRAIN_SLICE = 64;

export interface DispatcherOptions {
  replica: Replica;
  /** The member behind a call. */
  identityOf: (call: AuthenticatedCall) => Caller;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * The leader's end of all agents' streams: takes their statuses into the store, tells each what its node is to run,
 * and declares a node down that is silent too long.
 */
export class Dispatcher implements SessionHost {
  readonly #replica: Replica;
  readonly #identityOf: DispatcherOptions["identityOf"];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #batcher: Batcher;
  readonly #liveness: Liveness;
  readonly #sessions = new Map<string, Session>();
  readonly #dirty = new Set<Session>();
  #endpoints = new Endpoints();
  #serving = false;
  #drain: Timer | undefined;
  #restUntil = 0;

  constructor(options: DispatcherOptions) {
    this.#replica = options.replica;
    this.#identityOf = options.identityOf;
    this.#clock = options.clock;
    this.#log = options.logger.child({ part: "dispatcher" });
    this.#batcher = new Batcher((actions) => this.#replica.propose(actions), options.clock);
    this.#liveness = new Liveness(
      options.clock,
      () => this.#heartbeatPeriod(),
      (nodeId) => void this.#silent(nodeId),
    );
  }

  /** The gRPC service. */
  service(): DispatcherServer {
    return { session: (stream) => this.#accept(stream) };
  }

  /** How many agents have a session here. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** Begins as the leader: nodes that were ready have their time to come over. */
  start(view: StoreView): void {
    this.#serving = true;
    this.#endpoints = new Endpoints();
    this.#endpoints.apply(fullChange(view.index, view.time), view);
    for (const node of view.nodes()) {
      if (node.status?.state === NodeState.NODE_STATE_READY) this.#liveness.touch(node.id);
    }
  }

  /** Leads no longer: agents are sent to the next leader. */
  stop(): void {
    this.#serving = false;
    this.#liveness.stop();
    this.#drain?.cancel();
    this.#drain = undefined;
    this.#dirty.clear();
    const leader = this.#replica.leaderAddr();
    const error = leader === "" ? new CreelError("no_leader") : new CreelError("not_leader", { leader });
    for (const session of [...this.#sessions.values()]) session.close(error);
  }

  /** Takes in what the store's last entry changed. */
  changed(changes: ChangeSet, view: StoreView): void {
    if (!this.#serving) return;
    const pictures = this.#endpoints.apply(changes, view);
    if (changes.full) {
      for (const { tracker } of this.#sessions.values()) {
        tracker.forgetEndpoints();
        tracker.touchAll(view);
      }
    }
    let all = changes.full || changes.cluster || changes.networks.size > 0;
    for (const [id, { before, after }] of changes.nodes) {
      if (after) this.#mark(id);
      else this.#removed(id);
      if (before?.manager?.addr !== after?.manager?.addr) all = true;
    }
    for (const [id, { before, after }] of changes.tasks) {
      if (before && after && !concernsNode(before, after)) continue;
      if (before) this.#mark(before.nodeId, id);
      if (after && after.nodeId !== before?.nodeId) this.#mark(after.nodeId, id);
    }
    if (all || pictures.size > 0) {
      for (const session of this.#sessions.values()) {
        if (all || [...pictures].some((id) => session.tracker.knowsNetwork(id))) this.#dirty.add(session);
      }
    }
    if (this.#dirty.size > 0) this.#schedule();
  }

  // ---- what sessions ask for

  async welcome(session: Session, hello: Hello): Promise<void> {
    const status: NodeStatus = {
      state: NodeState.NODE_STATE_READY,
      message: "",
      addr: session.addr,
      since: this.#clock.now(),
    };
    const { description, dataPathAddr } = hello;
    const { nodeId } = session;
    const refusals = await this.#batcher.add({
      kind: { $case: "setNodeStatus", value: { nodeId, status, description, dataPathAddr } },
    });
    if (refusals.length > 0) throw new CreelError("node_removed", { id: nodeId });
    if (!this.#serving) return;
    this.#liveness.touch(nodeId);
    session.begin(this.#heartbeatPeriod(), this.#replica.view().cluster().id);
    this.#dirty.add(session);
    this.#schedule();
  }

  heard(session: Session): void {
    if (this.#sessions.get(session.nodeId) === session) this.#liveness.touch(session.nodeId);
  }

  async report(session: Session, report: StatusReport): Promise<void> {
    if (report.updates.length === 0) return;
    await this.#batcher.add({
      kind: { $case: "statusBatch", value: { nodeId: session.nodeId, updates: report.updates } },
    });
  }

  async described({ nodeId }: Session, description: NodeDescription): Promise<void> {
    await this.#batcher.add({
      kind: { $case: "setNodeStatus", value: { nodeId, status: undefined, description, dataPathAddr: "" } },
    });
  }

  async attached(session: Session, report: AttachmentReport): Promise<void> {
    const { nodeId } = session;
    const { attachments, refusals } = judgeAttachments(report, nodeId, this.#replica.view());
    await this.#batcher.add({ kind: { $case: "setAttachments", value: { nodeId, attachments } } });
    for (const refusal of refusals) session.tellRefusal(refusal);
  }

  async goodbye(session: Session): Promise<void> {
    this.#liveness.forget(session.nodeId);
    await this.#down(session.nodeId, "node left the cluster");
    session.close();
  }

  ready(session: Session): void {
    this.#dirty.add(session);
    this.#schedule();
  }

  closed(session: Session): void {
    this.#dirty.delete(session);
    if (this.#sessions.get(session.nodeId) === session) this.#sessions.delete(session.nodeId);
  }

  refuse(stream: AgentStream, error: unknown): void {
    stream.emit("error", refusal(error, this.#replica.leaderAddr()));
  }

  // ---- streams and nodes

  #accept(stream: AgentStream): void {
    try {
      this.#replica.requireLeader();
      const peer = this.#identityOf(stream);
      if (!this.#replica.view().node(peer.nodeId)) throw new CreelError("node_removed", { id: peer.nodeId });
      // the agent learns at once that it got through
      stream.sendMetadata(new Metadata());
      const session = new Session(stream, peer, hostOf(stream.getPeer()), this, this.#log);
      const older = this.#sessions.get(peer.nodeId);
      this.#sessions.set(peer.nodeId, session);
      // A stream that never says Hello ends as one that falls silent.
      this.#liveness.touch(peer.nodeId);
      older?.close(new CreelError("session_replaced", { id: peer.nodeId }));
    } catch (error) {
      this.refuse(stream, error);
    }
  }

  #heartbeatPeriod(): number {
    return this.#replica.view().cluster().spec?.heartbeatPeriod || DEFAULT_HEARTBEAT_MS;
  }

  #removed(nodeId: string): void {
    this.#liveness.forget(nodeId);
    this.#sessions.get(nodeId)?.close(new CreelError("node_removed", { id: nodeId }));
  }

  async #silent(nodeId: string): Promise<void> {
    this.#sessions.get(nodeId)?.close(new CreelError("heartbeat_failure", { id: nodeId }));
    try {
      await this.#down(nodeId, `heartbeat failure: missed ${GRACE_PERIODS} heartbeats`);
    } catch (error) {
      if (!this.#serving) return;
      this.#log.warn(
        { node: nodeId, error: messageOf(error) },
        "could not declare the node down; tries again",
      );
      this.#liveness.touch(nodeId);
    }
  }

  async #down(nodeId: string, message: string): Promise<void> {
    const known = this.#replica.view().node(nodeId);
    if (!known || known.status?.state === NodeState.NODE_STATE_DOWN) return;
    const status: NodeStatus = {
      state: NodeState.NODE_STATE_DOWN,
      message,
      addr: known.status?.addr ?? "",
      since: this.#clock.now(),
    };
    this.#log.info({ node: nodeId, message }, "node is down");
    await this.#batcher.add({
      kind: { $case: "setNodeStatus", value: { nodeId, status, description: undefined, dataPathAddr: "" } },
    });
  }

  // ---- sending

  #mark(nodeId: string, taskId = ""): void {
    const session = nodeId === "" ? undefined : this.#sessions.get(nodeId);
    if (!session) return;
    this.#dirty.add(session);
    if (taskId !== "") session.tracker.touch(taskId);
  }

  #schedule(): void {
    if (this.#drain || !this.#serving) return;
    const rest = Math.min(this.#restUntil - this.#clock.now(), MAX_REST_MS);
    this.#drain = this.#clock.after(Math.max(rest, DRAIN_DELAY_MS), () => {
      const due = [...this.#dirty];
      this.#dirty.clear();
      this.#restUntil = this.#clock.now() + Math.round(due.length * REST_PER_SESSION_MS);
      this.#flush(due);
    });
  }

  #flush(due: Session[]): void {
    const view = this.#replica.view();
    const managers = managerAddrs(view, this.#replica.leaderAddr());
    const period = this.#heartbeatPeriod();
    const { rootCa } = view.cluster();
    const roots = rootCa && trustedRoots(rootCa);
    for (const session of due.splice(0, DRAIN_SLICE)) {
      try {
        const node = view.node(session.nodeId);
        session.tellPeriod(period, view.cluster().id);
        if (node) session.tellRole(effectiveRole(node));
        session.tellManagers(managers);
        if (roots) session.tellTrust(roots);
        session.flush(view, this.#endpoints);
      } catch (error) {
        this.#log.error({ node: session.nodeId, error: messageOf(error) }, "a session failed");
        session.close(
          isCreelError(error) ? error : new CreelError("internal", { message: messageOf(error) }),
        );
      }
    }
    this.#drain = due.length > 0 ? this.#clock.after(0, () => this.#flush(due)) : undefined;
    if (this.#dirty.size > 0) this.#schedule();
  }
}

/** Whether a change of a task is something for its node: what it is told, or what it may let go of. */
function concernsNode(before: TaskRecord, after: TaskRecord): boolean {
  const isAssigned = ({ state }: TaskRecord) => state >= TaskState.TASK_STATE_ASSIGNED;
  return (
    before.nodeId !== after.nodeId ||
    before.desiredState !== after.desiredState ||
    before.group !== after.group ||
    isFinished(before) !== isFinished(after) ||
    isAssigned(before) !== isAssigned(after)
  );
}

/** Where an agent can find managers, the leader first. */
function managerAddrs(view: StoreView, leader: string): string[] {
  const others: string[] = [];
  for (const node of view.nodes()) {
    const addr = node.manager?.addr;
    if (addr && addr !== leader && effectiveRole(node) === NodeRole.NODE_ROLE_MANAGER) others.push(addr);
  }
  return leader === "" ? others : [leader, ...others];
}
