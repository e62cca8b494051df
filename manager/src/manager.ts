import { join } from "node:path";
import {
  type Clock,
  CreelError,
  type Logger,
  messageOf,
  type Plan,
  type Random,
  sleep,
  type Why,
} from "@creel/shared";
import { type MembershipServer, MembershipService } from "@creel/shared/gen/cluster/v1/ca.ts";
import type { ControlReply, ControlRequest, TaskLogsRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import { NodeRole, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { RaftClient } from "@creel/shared/gen/cluster/v1/raft.ts";
import { type AuthenticatedCall, connect, type IdentitySource, type NodeServer } from "@creel/shared/tls";
import {
  type GrpcTransport,
  grpcTransport,
  openRaft,
  type RaftOptions,
  type RaftServer,
  type RaftStatus,
} from "node-raft-server";
import { CertificateAuthority } from "./ca/service.ts";
import type { NewCluster } from "./cluster.ts";
import { Control } from "./control/control.ts";
import { Dispatcher } from "./dispatcher/dispatcher.ts";
import { type ClusterEvent, eventsOf } from "./events.ts";
import { found } from "./founding.ts";
import { Gate, within } from "./limits.ts";
import { taskLogs } from "./logs.ts";
import { GroupKeeper } from "./membership/reconcile.ts";
import { actingRole } from "./membership/roles.ts";
import { Membership } from "./membership/service.ts";
import { StandingWatch } from "./membership/standing.ts";
import { firstPlace, joinGroup, type RaftPlace, readPlace, tellAddress } from "./opening.ts";
import { Orchestrator } from "./orchestrator.ts";
import { ChangePlan } from "./plan/plan.ts";
import { type ManagerPorts, portsOf } from "./ports.ts";
import { Replica } from "./replica.ts";
import { serve } from "./services.ts";
import { type ChangeSet, Store, type StoreView } from "./store/mod.ts";
import { stuckText } from "./why/stuck.ts";
import { why } from "./why/why.ts";

/** How long a manager waits to be one: for a leader, for its log, for its vote. */
const START_TIMEOUT_MS = 60_000;
/** A manager that comes back serves without a leader if there is none by then: the others may start later. */
const RESTART_PATIENCE_MS = 5_000;
const HAND_OVER_MS = 1_000;
const LEAVE_TIMEOUT_MS = 20_000;
const POLL_MS = 50;
const MAX_PLANS_WAITING = 16;

/** What a manager is started with. Exactly one of `create` and `join` is looked at, where there is no log yet. */
export interface ManagerOptions {
  /** The manager's own directory. */
  dataDir: string;
  identity: IdentitySource;
  /** Told of each proposal of this manager that was carried out: the ms it took. */
  onProposed?: (ms: number) => void;
  /** The node's TLS port; the manager adds its services to it and takes them away again. */
  server: NodeServer;
  /** host:port at which other nodes reach that port. */
  addr: string;
  create?: NewCluster;
  /** The cluster's other managers are lost for good: it goes on with what this one knows. */
  sole?: boolean;
  /** Addresses of managers of the cluster to join. */
  join?: string[];
  clock: Clock;
  random: Random;
  logger: Logger;
  raft?: Pick<
    RaftOptions,
    "tickMs" | "electionTicks" | "heartbeatTicks" | "encryptionKey" | "logTail" | "electionSeed" | "open"
  >;
  /** The real ones where left out. */
  ports?: Partial<ManagerPorts>;
}

/** Raft's view of one manager. */
export interface ManagerStatus {
  leader: boolean;
  reachable: boolean;
  addr: string;
}

/**
 * Starts a manager and resolves once it serves: with a leader known, its own log read, and a vote in the group.
 */
export async function startManager(options: ManagerOptions): Promise<Manager> {
  const known = await readPlace(options);
  const place = known ?? (await newPlace(options));
  const { identity, server, addr, clock, random } = options;
  const store = new Store();
  const transport = grpcTransport({
    id: place.id,
    address: addr,
    clock,
    random,
    open: (peer) => connect(RaftClient, peer.address, identity, { role: NodeRole.NODE_ROLE_MANAGER }),
    authorize: (call, from) => authorizeRaft(call, from, server, store),
  });
  const raft = await openRaft({
    promoteTimeoutMs: 5_000,
    ...options.raft,
    dir: join(options.dataDir, "raft"),
    id: place.id,
    ...(place.bootstrap && { bootstrap: place.bootstrap }),
    ...(place.join && { join: place.join }),
    ...(options.sole && { soleAddress: addr }),
    transport: portsOf(options).raftTransport?.(place.id) ?? transport.transport,
    clock,
  });
  const manager = new Manager(options, raft, transport, store);
  try {
    await manager.begin(known !== undefined && !options.sole);
    return manager;
  } catch (error) {
    await manager.stop();
    throw error;
  }
}

async function newPlace(options: ManagerOptions): Promise<RaftPlace> {
  if (options.create) return await firstPlace(options);
  if (options.join?.length) return await joinGroup(options, options.join);
  throw new CreelError("invalid_parameter", {
    message: `${options.dataDir} holds no manager, and none is to be made`,
  });
}

/** A message of raft node `from` must come from the node that the store has at that place. */
function authorizeRaft(call: AuthenticatedCall, from: number, server: NodeServer, store: Store): void {
  const { nodeId } = server.identityOf(call);
  const view = store.view();
  const owner = view.nodes().find((node) => node.manager?.raftId === from);
  if (owner !== undefined && owner.id !== nodeId) {
    throw new CreelError("permission_denied", { role: `node ${nodeId}`, method: `Raft as member ${from}` });
  }
}

/** A manager of the cluster: a replica of its state and, while it leads, its head. */
export class Manager {
  /** Resolves when the manager has ended by itself: taken out of the group (nothing), or by an error. */
  readonly closed: Promise<CreelError | undefined>;
  readonly #options: ManagerOptions;
  readonly #raft: RaftServer;
  readonly #replica: Replica;
  readonly #control: Control;
  readonly #dispatcher: Dispatcher;
  readonly #orchestrator: Orchestrator;
  readonly #keeper: GroupKeeper;
  readonly #membership: Membership;
  readonly #standing: StandingWatch;
  readonly #unserve: () => void;
  readonly #planning = new Gate(1, MAX_PLANS_WAITING);
  readonly #eventListeners = new Set<(event: ClusterEvent) => void>();
  #close: (error?: CreelError) => void = () => {};
  #unsubscribe: () => void = () => {};
  #started = false;
  #stopping: Promise<void> | undefined;

  /** For {@link startManager}. */
  constructor(options: ManagerOptions, raft: RaftServer, transport: GrpcTransport, store: Store) {
    const { server, clock, random, logger } = options;
    const { peers, certify } = portsOf(options);
    this.#options = options;
    this.#raft = raft;
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
    const replica = new Replica({ raft, store, clock, logger, onProposed: options.onProposed });
    const common = { replica, clock, random, logger, identityOf: server.identityOf.bind(server) };
    const membership = new Membership({ ...common, raft });
    this.#replica = replica;
    this.#membership = membership;
    this.#control = new Control({ ...common, peers });
    this.#dispatcher = new Dispatcher(common);
    this.#orchestrator = new Orchestrator(common);
    this.#keeper = new GroupKeeper({ replica, raft, membership, clock, logger });
    this.#standing = new StandingWatch({
      raft,
      peers,
      clock,
      logger,
      onRemoved: () => this.#close(),
    });
    const ca = new CertificateAuthority({ ...common, certify });
    this.#unserve = serve(server, {
      raft: transport.implementation,
      ca: ca.service(),
      membership: membership.service(),
      control: this.#control.service(),
      dispatcher: this.#dispatcher.service(),
    });
    server.setRoles((peer) => actingRole(peer, replica.view()));
  }

  /** For {@link startManager}: resolves when the manager serves. */
  async begin(again: boolean): Promise<void> {
    const { logger } = this.#options;
    this.#replica.onChange((changes, view) => this.#changed(changes, view));
    this.#replica.onLeadership((leading) => this.#lead(leading));
    this.#unsubscribe = this.#raft.onStatus((status) => {
      this.#keeper.wake();
      if (status.removed) this.#close();
    });
    void this.#raft.closed.then((error) => this.#close(error));
    this.#replica.start((error) => {
      const text = messageOf(error);
      logger.error({ error: text }, "the store can no longer follow the log");
      this.#close(error instanceof CreelError ? error : new CreelError("internal", { message: text }));
    });
    if (again) await this.#resume();
    else await this.#enter();
    this.#started = true;
    this.#standing.start();
  }

  /** A new manager is one when it has a leader, all that was agreed on, and a vote. */
  async #enter(): Promise<void> {
    await this.#until("a leader of the managers", START_TIMEOUT_MS, () => this.#hasLeader());
    await this.#found();
    await this.#replica.linearizableView();
    await this.#until("the vote of this manager", START_TIMEOUT_MS, () => {
      const { voters, id, removed } = this.#raft.status();
      if (removed) throw new CreelError("node_removed", { id: this.nodeId });
      return voters.includes(id);
    });
  }

  async #resume(): Promise<void> {
    try {
      await this.#until("a leader of the managers", RESTART_PATIENCE_MS, () => this.#hasLeader());
      if (this.#replica.leading) await this.#found();
      await this.#replica.linearizableView();
      await this.#tellAddress();
    } catch (error) {
      if (!(error instanceof CreelError) || error.code === "stopped") throw error;
      this.#options.logger.warn({ error: error.message }, "serves without a leader: too few managers answer");
    }
  }

  async #tellAddress(): Promise<void> {
    const { id, peers } = this.#raft.status();
    const { addr } = this.#options;
    if (peers.find((peer) => peer.id === id)?.address === addr) return;
    if (this.#replica.leading) await this.#membership.moveSelf(this.nodeId, addr);
    else await tellAddress(this.#options, [this.leaderAddr()], id);
  }

  get nodeId(): string {
    return this.#options.identity.current().nodeId;
  }

  /** Whether this manager leads. */
  get leading(): boolean {
    return this.#replica.leading;
  }

  /** host:port of the leader; empty while there is none. */
  leaderAddr(): string {
    return this.#replica.leaderAddr();
  }

  /** The cluster's state as it is known here. */
  view(): StoreView {
    return this.#replica.view();
  }

  /** The cluster's state with every change that was acknowledged anywhere before the call. */
  linearizableView(): Promise<StoreView> {
    return this.#replica.linearizableView();
  }

  /** Carries out what a user asks; on a manager that does not lead by way of the leader. */
  control(request: ControlRequest): Promise<ControlReply> {
    return this.#control.do(request);
  }

  /** Tries on a copy of the state what `change` does, and tells what would come of it. One plan at a time is made. */
  plan(change: (planned: ChangePlan) => Promise<void>): Promise<Plan> {
    const { clock, random } = this.#options;
    return this.#planning.run(async () => {
      await this.#replica.linearizableView();
      const planned = new ChangePlan(this.#replica.fork(), this.#raft.status(), { clock, random });
      await change(planned);
      return await planned.finish();
    });
  }

  /** Why a service, task or node is as it is. */
  async why(kind: Why["kind"], id: string): Promise<Why> {
    return why(await this.#replica.linearizableView(), kind, id, this.#options.clock.now());
  }

  /** Why a service will not come to be as wanted by itself; empty while it may. */
  stuck(serviceId: string): string {
    const service = this.view().service(serviceId);
    return service ? stuckText(this.view(), service, this.#options.clock.now()) : "";
  }

  /** How a manager stands in the Raft group; undefined for a worker. */
  managerStatus(nodeId: string): ManagerStatus | undefined {
    const node = this.view().node(nodeId);
    if (!node?.manager) return undefined;
    const { id, leader, progress } = this.#raft.status();
    const { raftId, addr } = node.manager;
    const heard = progress.find((peer) => peer.id === raftId)?.active;
    // Only the leader hears of all; another manager goes by what the dispatcher wrote down.
    const reachable =
      raftId === id || raftId === leader || (heard ?? node.status?.state === NodeState.NODE_STATE_READY);
    return { leader: raftId === leader, reachable, addr };
  }

  /** Where this manager stands, in numbers. */
  figures(): { raft: RaftStatus; sessions: number } {
    return { raft: this.#raft.status(), sessions: this.#dispatcher.sessionCount };
  }

  /** All managers, the leader first. */
  managers(): { nodeId: string; addr: string }[] {
    const leader = this.leaderAddr();
    return this.view()
      .nodes()
      .filter((node) => node.manager)
      .map((node) => ({ nodeId: node.id, addr: node.manager!.addr }))
      .sort((a, b) => Number(b.addr === leader) - Number(a.addr === leader));
  }

  /** Log bytes of a task, wherever it runs; ends when `signal` aborts. */
  taskLogs(request: TaskLogsRequest, signal: AbortSignal): AsyncIterable<{ data: Uint8Array; raw: boolean }> {
    return taskLogs(request, this.view(), this.#options.identity, signal);
  }

  /** Called for each change of a cluster object from now on. */
  onEvent(listener: (event: ClusterEvent) => void): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  /** Called after each entry that this manager's store has applied. */
  onChange(listener: (changes: ChangeSet, view: StoreView) => void): () => void {
    return this.#replica.onChange(listener);
  }

  /** Takes this manager out of the group, so that the others no longer count on it. The last one simply ends. */
  async leave(): Promise<void> {
    const { clock } = this.#options;
    const { peers } = portsOf(this.#options);
    const end = clock.now() + LEAVE_TIMEOUT_MS;
    for (;;) {
      const { id, voters, role } = this.#raft.status();
      if (voters.length === 1 && voters[0] === id) return;
      try {
        if (role === "leader") await this.#handOver();
        const leader = this.leaderAddr();
        if (leader === "") throw new CreelError("no_leader");
        const expected = { role: NodeRole.NODE_ROLE_MANAGER };
        const peer = peers.open<MembershipServer>(MembershipService, leader, expected, LEAVE_TIMEOUT_MS);
        try {
          return void (await peer.calls.leave({}));
        } finally {
          peer.close();
        }
      } catch (error) {
        if (this.#raft.status().removed) return;
        if (clock.now() >= end) throw error;
        await sleep(clock, POLL_MS * 4);
      }
    }
  }

  /** Stops serving and ends; the log stays for the next start. */
  stop(): Promise<void> {
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  async #end(): Promise<void> {
    this.#unsubscribe();
    this.#standing.stop();
    if (this.#replica.leading) {
      // Nobody has to wait for an election; where it does not come to pass, one is held.
      await within(this.#options.clock, HAND_OVER_MS, "another manager", this.#handOver()).catch(() => {});
    }
    this.#lead(false);
    this.#replica.stop();
    this.#unserve();
    this.#options.server.setRoles();
    await this.#raft.stop();
    await this.#replica.finished();
    this.#close();
  }

  #changed(changes: ChangeSet, view: StoreView): void {
    this.#dispatcher.changed(changes, view);
    this.#orchestrator.changed(changes);
    if (changes.nodes.size > 0 || changes.full) this.#keeper.wake();
    if (!this.#started || this.#eventListeners.size === 0) return;
    const now = () => this.view();
    for (const event of eventsOf(changes, now)) for (const listener of this.#eventListeners) listener(event);
  }

  #lead(leading: boolean): void {
    if (leading) {
      this.#dispatcher.start(this.view());
      this.#orchestrator.start();
      this.#keeper.start();
    } else {
      this.#dispatcher.stop();
      this.#orchestrator.stop();
      this.#keeper.stop();
    }
  }

  #hasLeader(): boolean {
    const { role, leader } = this.#raft.status();
    return role === "leader" ? this.#replica.leading : leader !== 0;
  }

  async #found(): Promise<void> {
    const { create, addr, random } = this.#options;
    const founder = { nodeId: this.nodeId, raftId: this.#raft.status().id, addr };
    if (create) await found(create, founder, this.#replica, random);
  }

  async #handOver(): Promise<void> {
    const { id, voters, progress } = this.#raft.status();
    const to = progress.find((peer) => peer.id !== id && peer.active && voters.includes(peer.id));
    if (!to) throw new CreelError("no_leader");
    await this.#raft.transferLeader(to.id);
  }

  async #until(what: string, ms: number, reached: () => boolean): Promise<void> {
    const { clock } = this.#options;
    const end = clock.now() + ms;
    while (!reached()) {
      if (clock.now() >= end) throw new CreelError("timeout", { what, ms });
      if (this.#stopping) throw new CreelError("stopped", { what: "this manager" });
      await sleep(clock, POLL_MS);
    }
  }
}
