import type {
  ClusterEvent,
  ClusterPort,
  ClusterView,
  InitRequest,
  JoinRequest,
  LocalNodeState,
  ManagerStatus,
  PlannedCluster,
} from "@creel/api";
import { joinCluster, type Manager, newCluster } from "@creel/manager";
import { CreelError, isCreelError, messageOf, type Plan, type Timer, type Why } from "@creel/shared";
import type { ControlReply, ControlRequest, TaskLogsRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import { Availability, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Identity } from "@creel/shared/tls";
import { managerAddress, type NodeAddresses, settleAddresses } from "./addresses.ts";
import { cleanNode } from "./clean.ts";
import { type Beginning, Member } from "./member.ts";
import type { NodeParts } from "./parts.ts";
import { type KeptIdentity, MemberFiles, type MemberState } from "./state.ts";

const DATA_PATH_PORT = 4789;
const CONNECT_MS = 20_000;
const LEAVE_MS = 30_000;
const RESUME_MS = 5_000;
const AVAILABILITIES = {
  active: Availability.AVAILABILITY_ACTIVE,
  pause: Availability.AVAILABILITY_PAUSE,
  drain: Availability.AVAILABILITY_DRAIN,
};

/** The node's place towards a cluster: none, or a membership that survives restarts. */
export class ClusterNode implements ClusterPort {
  readonly #parts: NodeParts;
  readonly #files: MemberFiles;
  readonly #listeners = new Set<(event: ClusterEvent) => void>();
  #member: Member | undefined;
  #state: LocalNodeState = "inactive";
  #error = "";
  #ended = false;
  #retry: Timer | undefined;
  #unsubscribe: () => void = () => {};
  /** One change of the membership at a time; a start that is under way is waited for. */
  #changing: Promise<unknown> | undefined;

  constructor(parts: NodeParts, dataRoot: string) {
    this.#parts = parts;
    this.#files = new MemberFiles(dataRoot);
  }

  /** Takes up the membership that the disk tells of, in the background; where that fails, again and again. */
  resume(): void {
    if (!this.#files.read()) return;
    this.#state = "pending";
    void this.#change(async () => {
      const kept = this.#files.read();
      if (!kept || this.#ended) return;
      if (kept.sealed) {
        this.#state = "locked";
        this.#parts.logger.warn("this manager is locked: docker swarm unlock opens it");
        return;
      }
      await this.#takeUp({ state: kept.state, ...kept.open("") }, {});
    });
  }

  /** Takes up a membership; where that fails it is tried again after a while. */
  async #takeUp(kept: KeptIdentity & { state: MemberState }, beginning: Beginning): Promise<void> {
    try {
      await this.#begin(kept, beginning);
      this.#state = "active";
    } catch (error) {
      this.#state = "error";
      this.#error = messageOf(error);
      if (isCreelError(error, "data_format_newer")) return this.#parts.onFatal(error);
      this.#parts.logger.error(
        { error: this.#error },
        "the node's part in the swarm did not start; trying again",
      );
      await this.#member?.stop().catch(() => {});
      this.#retry = this.#parts.clock.after(RESUME_MS, () => {
        if (this.#state !== "error") return;
        this.#state = "pending";
        void this.#change(() => this.#takeUp(this.#member?.kept() ?? kept, beginning));
      });
    }
  }

  /** Ends what runs; the membership stays. */
  async stop(): Promise<void> {
    this.#ended = true;
    this.#retry?.cancel();
    await this.#member?.stop();
  }

  localState(): LocalNodeState {
    return this.#state;
  }

  nodeId(): string {
    return this.#member?.identity.current().nodeId ?? "";
  }

  nodeAddr(): string {
    return this.#member?.state.addresses.advertise.replace(/:\d+$/, "") ?? "";
  }

  error(): string {
    return this.#error || (this.#member?.error ?? "");
  }

  isManager(): boolean {
    return this.#member?.manager !== undefined;
  }

  remoteManagers(): { nodeId: string; addr: string }[] {
    const manager = this.#member?.manager;
    if (manager) return manager.managers();
    return (this.#member?.state.managers ?? []).map((addr) => ({ nodeId: "", addr }));
  }

  init(request: InitRequest): Promise<string> {
    return this.#change(async () => {
      if (request.forceNewCluster && this.#state !== "inactive") return await this.#goOnAlone(request);
      this.#mustBeOutside();
      const { clock, random } = this.#parts;
      const addresses = await this.#addresses(request);
      const create = await newCluster(
        {
          spec: request.spec,
          defaultAddrPool: request.defaultAddrPool,
          subnetSize: request.subnetSize,
          dataPathPort: request.dataPathPort,
          availability: AVAILABILITIES[request.availability],
        },
        { clock, random },
      );
      const state = {
        addresses,
        dataPathPort: request.dataPathPort || DATA_PATH_PORT,
        managers: [addresses.advertise],
      };
      await this.#enter(state, create.identity, { create });
      return create.identity.nodeId;
    });
  }

  join(request: JoinRequest): Promise<void> {
    return this.#change(async () => {
      this.#mustBeOutside();
      const remoteAddrs = request.remoteAddrs.map(managerAddress);
      const addresses = await this.#addresses(request);
      const { identity, dataPathPort } = await joinCluster({
        remoteAddrs,
        token: request.token,
        availability: AVAILABILITIES[request.availability],
      });
      const state = {
        addresses,
        dataPathPort: dataPathPort || DATA_PATH_PORT,
        managers: remoteAddrs,
      };
      await this.#enter(state, identity, { join: remoteAddrs });
    });
  }

  leave(force: boolean): Promise<void> {
    return this.#change(async () => {
      if (this.#state === "inactive") throw new CreelError("not_in_swarm");
      if (this.#state === "locked" && !force) throw new CreelError("locked_leave");
      const manager = this.#member?.manager;
      if (manager && !force) throw new CreelError("last_manager", { detail: whatIsLost(manager) });
      await this.#leaveGroup(manager);
      await this.#member?.leave();
      this.#drop();
      await cleanNode(this.#parts.engine, this.#parts.logger);
      this.#files.clear();
    });
  }

  unlock(key: string): Promise<void> {
    return this.#change(async () => {
      if (this.#state === "inactive") throw new CreelError("not_in_swarm");
      const kept = this.#state === "locked" ? this.#files.read() : undefined;
      if (!kept) throw new CreelError("swarm_not_locked");
      const opened = kept.open(key.trim());
      this.#state = "pending";
      await this.#takeUp({ state: kept.state, ...opened }, {});
    });
  }

  async view(options: { linearizable?: boolean } = {}): Promise<ClusterView> {
    const manager = await this.#managed();
    return options.linearizable ? manager.linearizableView() : manager.view();
  }

  managerStatus(nodeId: string): ManagerStatus | undefined {
    return this.#member?.manager?.managerStatus(nodeId);
  }

  async control(request: ControlRequest): Promise<ControlReply> {
    return (await this.#managed()).control(request);
  }

  async plan(change: (planned: PlannedCluster) => Promise<void>): Promise<Plan> {
    const manager = await this.#managed();
    return await manager.plan((planned) =>
      change({ view: async () => planned.view(), control: async (request) => planned.control(request) }),
    );
  }

  async why(kind: Why["kind"], id: string): Promise<Why> {
    return await (await this.#managed()).why(kind, id);
  }

  stuck(serviceId: string): string {
    return this.#member?.manager?.stuck(serviceId) ?? "";
  }

  async *taskLogs(
    request: TaskLogsRequest,
    signal: AbortSignal,
  ): AsyncGenerator<{ data: Uint8Array; raw: boolean }> {
    yield* (await this.#managed()).taskLogs(request, signal);
  }

  /** This node's manager, for its figures; undefined where it is none. */
  get manager(): Manager | undefined {
    return this.#member?.manager;
  }

  async attach(network: string, address: string): Promise<{ address: string; release(): void }> {
    if (this.#state === "pending") await this.#changing;
    if (!this.#member) throw new CreelError("not_in_swarm");
    return await this.#member.attach(network, address);
  }

  onEvent(listener: (event: ClusterEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The manager of this node, when it is one; one that is just starting is waited for. */
  async #managed(): Promise<Manager> {
    if (this.#state === "pending") await this.#changing;
    const manager = this.#member?.manager;
    if (manager) return manager;
    if (this.#state === "locked") throw new CreelError("swarm_locked");
    if (this.#state === "error")
      throw new CreelError("internal", {
        message: `this node's part in the swarm does not run: ${this.#error}`,
      });
    throw new CreelError(this.#state === "inactive" ? "not_a_manager" : "worker_not_manager");
  }

  /** From a manager that has lost the others: a cluster of one, with all that this one knows. */
  async #goOnAlone(request: InitRequest): Promise<string> {
    if (this.#state === "locked") throw new CreelError("swarm_locked");
    const member = this.#member;
    if (!member) throw new CreelError("stopped", { what: "this node's part in the swarm" });
    const kept = member.kept();
    if (kept.identity.role !== NodeRole.NODE_ROLE_MANAGER) throw new CreelError("worker_not_manager");
    const before = kept.state.addresses;
    const addresses = await this.#addresses({
      listenAddr: request.listenAddr || before.listen,
      advertiseAddr: request.advertiseAddr || before.advertise,
      dataPathAddr: request.dataPathAddr || before.dataPath,
    });
    const state = { ...kept.state, addresses, managers: [addresses.advertise] };
    this.#retry?.cancel();
    this.#state = "pending";
    await member.stop().catch(() => {});
    this.#files.writeState(state);
    await this.#takeUp({ ...kept, state }, { sole: true });
    if (this.#error !== "") throw new CreelError("internal", { message: this.#error });
    return kept.identity.nodeId;
  }

  #mustBeOutside(): void {
    if (this.#state !== "inactive") throw new CreelError("already_in_swarm");
  }

  /** What comes while another change is under way waits for its end. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#changing ?? Promise.resolve();
    const done = before.then(work, work);
    const settled = done.then(
      () => {},
      () => {},
    );
    this.#changing = settled;
    return done;
  }

  async #addresses(wish: {
    listenAddr: string;
    advertiseAddr: string;
    dataPathAddr: string;
  }): Promise<NodeAddresses> {
    const { networks } = await this.#parts.engine.networks.list({});
    return settleAddresses(wish, new Set(networks.map(({ gateway }) => gateway)));
  }

  /** Becomes a member; nothing of it is left where that fails. */
  async #enter(state: MemberState, identity: Identity, beginning: Beginning): Promise<void> {
    const kept = {
      identity,
      raftKey: this.#parts.random.bytes(32),
      unlockKey: beginning.create?.cluster.unlockKey ?? "",
    };
    this.#state = "pending";
    try {
      this.#files.writeIdentity(kept);
      await this.#begin({ state, ...kept }, beginning);
      await this.#member?.waitConnected(CONNECT_MS);
      // written last: a node that fails half-way is in no cluster when it starts again
      this.#files.writeState(state);
      this.#state = "active";
    } catch (error) {
      await this.#member?.stop().catch(() => {});
      this.#drop();
      this.#files.clear();
      throw error;
    }
  }

  async #begin(kept: KeptIdentity & { state: MemberState }, beginning: Beginning): Promise<void> {
    const member = new Member(this.#parts, this.#files, kept);
    member.onManager = (manager) => {
      this.#unsubscribe();
      this.#unsubscribe = manager?.onEvent((event) => this.#tell(event)) ?? (() => {});
    };
    this.#member = member;
    this.#error = "";
    await member.start(beginning);
  }

  #drop(): void {
    this.#unsubscribe();
    this.#retry?.cancel();
    this.#member = undefined;
    this.#state = "inactive";
    this.#error = "";
  }

  #tell(event: ClusterEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** The others go on without this manager; where they cannot be asked, the user has forced it anyway. */
  async #leaveGroup(manager: Manager | undefined): Promise<void> {
    if (!manager) return;
    let timer: { cancel(): void } | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = this.#parts.clock.after(LEAVE_MS, resolve);
    });
    const left = manager.leave().catch((error: unknown) => {
      if (!isCreelError(error, "stopped"))
        this.#parts.logger.warn({ error: messageOf(error) }, "the swarm could not be told of the leave");
    });
    await Promise.race([left, timeout]);
    timer?.cancel();
  }
}

/** What leaving would do, in Docker's words. */
function whatIsLost(manager: Manager): string {
  const managers = manager
    .view()
    .nodes()
    .filter((node) => node.spec?.role === NodeRole.NODE_ROLE_MANAGER);
  if (managers.length <= 1) {
    return "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message.";
  }
  const left = managers.filter(
    (node) => node.id !== manager.nodeId && manager.managerStatus(node.id)?.reachable,
  ).length;
  const loss =
    left < Math.floor(managers.length / 2) + 1
      ? `Removing this node leaves ${left} managers out of ${managers.length}. Without a Raft quorum your swarm will be inaccessible.`
      : "Doing so may lose the consensus of your cluster.";
  return `${loss} The only way to restore a swarm that has lost consensus is to reinitialize it with \`--force-new-cluster\`. Use \`--force\` to suppress this message.`;
}
