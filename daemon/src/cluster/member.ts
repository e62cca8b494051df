import { type Manager, type NewCluster, renewalDelay, renewIdentity, startManager } from "@creel/manager";
import { CreelError, messageOf, sleep, type Timer } from "@creel/shared";
import { NodeStreamsService } from "@creel/shared/gen/cluster/v1/control.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { ClusterServer, LiveIdentity } from "@creel/shared/tls";
import {
  dispatcherConnector,
  nodeStreams,
  type Place,
  startWorker,
  takeRole,
  Wishes,
  type Worker,
  workerEngine,
} from "@creel/worker";
import type { NodeParts } from "./parts.ts";
import type { KeptIdentity, MemberFiles, MemberState } from "./state.ts";

const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const LOOK_MS = 50;
/** setTimeout's own bound; a longer wait is cut into pieces of it. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** How a membership begins: a cluster made here, one that was joined, or neither: it is taken up again. */
export interface Beginning {
  create?: NewCluster;
  join?: string[];
  /** The other managers are lost for good: this one goes on without them. */
  sole?: boolean;
}

/** This node's part in a cluster while the daemon runs: its TLS port, its worker and, on a manager, its manager. */
export class Member {
  readonly identity: LiveIdentity;
  readonly state: MemberState;
  readonly #parts: NodeParts;
  readonly #files: MemberFiles;
  readonly #raftKey: Uint8Array;
  /** What the keys on the disk are sealed with. */
  #unlockKey: string;
  readonly #server: ClusterServer;
  readonly #stopping = new AbortController();
  #manager: Manager | undefined;
  #worker: Worker | undefined;
  #renewal: Timer | undefined;
  #keeping: Timer | undefined;
  readonly #wishes: Wishes;
  #error = "";
  /** Called when another manager than before may be asked. */
  onManager: (manager: Manager | undefined) => void = () => {};

  constructor(parts: NodeParts, files: MemberFiles, kept: KeptIdentity & { state: MemberState }) {
    this.#parts = parts;
    this.#files = files;
    this.#raftKey = kept.raftKey;
    this.#unlockKey = kept.unlockKey;
    this.state = kept.state;
    this.identity = new LiveIdentity(kept.identity);
    this.#server = new ClusterServer({ identity: this.identity, clock: parts.clock });
    this.#wishes = new Wishes({
      clock: parts.clock,
      logger: parts.logger,
      onOutcome: (error) => {
        this.#error = error;
      },
    });
  }

  get manager(): Manager | undefined {
    return this.#manager;
  }

  /** What this membership can be taken up with again. */
  kept(): KeptIdentity & { state: MemberState } {
    const identity = this.identity.current();
    return { state: this.state, identity, raftKey: this.#raftKey, unlockKey: this.#unlockKey };
  }

  /** What went wrong lately; empty when all is well. */
  get error(): string {
    return this.#error;
  }

  /** Whether a manager has this node's session. */
  get connected(): boolean {
    return this.#worker?.connected() ?? false;
  }

  /** A place on a cluster's network; see {@link Worker.attach}. */
  async attach(network: string, address: string): Promise<Place> {
    if (!this.#worker) throw new CreelError("stopped", { what: "this node's part in the swarm" });
    return await this.#worker.attach(network, address);
  }

  /** Resolves when the node serves its part. */
  async start(beginning: Beginning): Promise<void> {
    const { addresses, dataPathPort } = this.state;
    await this.#parts.engineKeeper.setDataPath({ addr: addresses.dataPath, port: dataPathPort });
    const port = await this.#server.listen(addresses.listen);
    this.#startWorker(port);
    if (this.#isManager()) await this.#startAsManager(beginning);
    this.#scheduleRenewal();
  }

  /** While it starts, the node may hear that it is no manager any more: then that is no failure, and soon over. */
  async #startAsManager(beginning: Beginning): Promise<void> {
    try {
      await this.#startManager(beginning);
    } catch (error) {
      if (this.#isManager()) throw error;
    }
    if (!this.#isManager()) this.#setRole(NodeRole.NODE_ROLE_WORKER);
  }

  #isManager(): boolean {
    return this.identity.current().role === NodeRole.NODE_ROLE_MANAGER;
  }

  /** Resolves when a manager has taken this node's session; rejects with `timeout` after `ms`. */
  async waitConnected(ms: number): Promise<void> {
    const { clock } = this.#parts;
    const end = clock.now() + ms;
    while (!this.connected) {
      if (clock.now() > end) throw new CreelError("timeout", { what: "a manager of the swarm", ms });
      await sleep(clock, LOOK_MS, this.#stopping.signal);
      if (this.#stopping.signal.aborted)
        throw new CreelError("stopped", { what: "this node's part in the swarm" });
    }
  }

  /** Ends the node's part for now; it can be taken up again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#renewal?.cancel();
    this.#keeping?.cancel();
    await this.#wishes.stop();
    await this.#worker?.stop();
    await this.#stopManager();
    await this.#server.stop();
  }

  /** Ends the node's part for good: the managers are told. */
  async leave(): Promise<void> {
    await this.#worker?.leave();
    await this.stop();
  }

  #startWorker(port: number): void {
    const { engine, facts, clock, random, logger } = this.#parts;
    const { addresses, managers } = this.state;
    const door = workerEngine(
      engine,
      {
        hostname: this.#parts.hostname,
        version: facts.version,
        labels: Object.fromEntries(facts.labels.map((label) => label.split(/=(.*)/s).slice(0, 2))),
        genericResources: facts.genericResources,
        identity: () => this.identity.current(),
        port,
      },
      clock,
      logger,
    );
    const worker = startWorker({
      nodeId: this.identity.current().nodeId,
      managers,
      connect: dispatcherConnector(this.identity),
      engine: door,
      dataPathAddr: addresses.dataPath,
      clock,
      random,
      logger: logger.child({ part: "worker" }),
      onManagers: (addrs) => this.#setManagers(addrs),
      onRole: (role) => this.#setRole(role),
      onTrust: (roots) => this.#setTrust(roots),
    });
    this.#worker = worker;
    this.#server.add(
      NodeStreamsService,
      nodeStreams(engine, (taskId) => worker.containerOf(taskId), logger),
      { logs: [NodeRole.NODE_ROLE_MANAGER] },
    );
  }

  async #startManager(beginning: Beginning): Promise<void> {
    const { create } = beginning;
    // one whose log is lost takes a new place in the group, if there are others
    const others = this.state.managers.filter((addr) => addr !== this.state.addresses.advertise);
    const join = create ? undefined : (beginning.join ?? others);
    const { clock, random, logger } = this.#parts;
    const manager = await startManager({
      dataDir: this.#files.managerDir,
      identity: this.identity,
      server: this.#server,
      addr: this.state.addresses.advertise,
      ...(create && { create }),
      ...(join && { join }),
      ...(beginning.sole && { sole: true }),
      clock,
      random,
      logger: logger.child({ part: "manager" }),
      raft: { encryptionKey: this.#raftKey },
      onProposed: this.#parts.onProposed,
    });
    this.#manager = manager;
    this.onManager(manager);
    manager.onChange((changes) => (changes.cluster || changes.full) && this.#sealAgain());
    this.#sealAgain();
    void manager.closed.then((error) => {
      if (this.#manager !== manager || this.#stopping.signal.aborted) return;
      if (error) {
        this.#error = error.message;
        logger.error({ error: error.message }, "the manager ended");
      } else this.#setRole(NodeRole.NODE_ROLE_WORKER);
    });
  }

  async #stopManager(): Promise<void> {
    const manager = this.#manager;
    this.#manager = undefined;
    this.onManager(undefined);
    await manager?.stop();
  }

  #setManagers(addrs: string[]): void {
    if (addrs.join() === this.state.managers.join()) return;
    this.state.managers = addrs;
    this.#keep();
  }

  /** The keys on the disk are sealed with the key that the cluster has now. */
  #sealAgain(): void {
    const cluster = this.#manager?.view().cluster();
    if (!cluster?.id || cluster.unlockKey === this.#unlockKey) return;
    this.#unlockKey = cluster.unlockKey;
    this.#keep();
  }

  /** Writes down who this node is and whom it knows. A disk that takes no more is no reason to end: it is tried again. */
  #keep(): void {
    this.#keeping?.cancel();
    if (this.#stopping.signal.aborted) return;
    try {
      this.#files.writeIdentity(this.kept());
      this.#files.writeState(this.state);
    } catch (error) {
      const { clock, logger } = this.#parts;
      logger.warn({ error: messageOf(error) }, "the node's membership was not written down; trying again");
      this.#keeping = clock.after(LONGEST_RETRY_MS, () => this.#keep());
    }
  }

  #setRole(role: NodeRole): void {
    this.#wishes.ask("role", async () => {
      const manages = this.#manager !== undefined;
      await takeRole(role, {
        certified: () => this.identity.current().role,
        renew: () => this.#renew(),
        manages: () => this.#manager !== undefined,
        startManager: () => this.#startManager({ join: this.state.managers }),
        endManager: () => this.#endManager(),
      });
      if (manages !== (this.#manager !== undefined)) {
        this.#parts.logger.info({ role: this.identity.current().role }, "this node has another role now");
      }
    });
  }

  /** Whom to trust is said along with a certificate of the root that is to be trusted. */
  #setTrust(roots: string): void {
    this.#wishes.ask("trust", async () => {
      if (this.identity.current().root !== roots) await this.#renew();
    });
  }

  async #endManager(): Promise<void> {
    if (this.#manager) {
      await this.#stopManager();
      this.#files.clearManager();
    }
    if (this.#unlockKey === "") return;
    this.#unlockKey = "";
    this.#keep();
  }

  async #renew(): Promise<void> {
    const own = this.#manager?.leaderAddr() ?? "";
    const managers = [...new Set([own, ...this.state.managers])].filter((addr) => addr !== "");
    const identity = await renewIdentity(this.identity, managers);
    this.#files.writeIdentity({ ...this.kept(), identity });
    this.identity.replace(identity);
    this.#worker?.describe();
    this.#scheduleRenewal();
  }

  #scheduleRenewal(): void {
    const { clock, random, logger } = this.#parts;
    this.#renewal?.cancel();
    if (this.#stopping.signal.aborted) return;
    const delay = renewalDelay(this.identity.current().certificate, clock.now(), random);
    if (delay > LONGEST_TIMER_MS) {
      this.#renewal = clock.after(LONGEST_TIMER_MS, () => this.#scheduleRenewal());
      return;
    }
    const renew = () => {
      this.#renew().catch((error: unknown) => {
        logger.warn({ error: messageOf(error) }, "the certificate was not renewed; trying again");
        this.#renewal = clock.after(LONGEST_RETRY_MS, renew);
      });
    };
    this.#renewal = clock.after(Math.max(delay, RETRY_MS), renew);
  }
}
