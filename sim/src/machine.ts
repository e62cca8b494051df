import { type Manager, type NewCluster, startManager } from "@creel/manager";
import { CreelError, type Logger, messageOf, type Random, seededRandom } from "@creel/shared";
import { type CaServer, CaService } from "@creel/shared/gen/cluster/v1/ca.ts";
import { Availability, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Identity, LiveIdentity } from "@creel/shared/tls";
import { startWorker, takeRole, Wishes, type Worker } from "@creel/worker";
import { MemoryDisk, steppedOpener } from "node-raft-server/simulation";
import { SimulatedServer } from "./calls.ts";
import { SimulatedEngine } from "./engine.ts";
import type { Parts } from "./parts.ts";
import { Process } from "./time.ts";

const CALL_MS = 10_000;
const RAFT_TICK_MS = 250;

/**
 * A machine of the cluster: its disk and its engine, which outlive the daemon, and the daemon: an agent, and a manager
 * where the node has that role, wired as creeld wires them.
 */
export class Machine {
  readonly name: string;
  readonly addr: string;
  readonly engine: SimulatedEngine;
  readonly disk = new MemoryDisk();
  readonly #parts: Parts;
  readonly #random: Random;
  /** Files beside the log; each is written whole and synced. */
  readonly #files = new Map<string, string>();
  #identity: LiveIdentity | undefined;
  #managers: string[] = [];
  #process: Process | undefined;
  #worker: Worker | undefined;
  #manager: Manager | undefined;
  #become: (role: NodeRole) => void = () => {};

  constructor(number: number, parts: Parts) {
    this.name = `node${number}`;
    this.addr = `${this.name}:2377`;
    this.#parts = parts;
    this.#random = seededRandom(parts.random.next() * 2 ** 32);
    this.engine = new SimulatedEngine(this.name, parts.time, this.#random, parts.trace);
    this.disk.syncMs = () => 1 + this.#random.next() * 4;
  }

  get id(): string {
    return this.#identity?.current().nodeId ?? "";
  }

  get role(): NodeRole | undefined {
    return this.#identity?.current().role;
  }

  /** Whether the daemon runs. */
  get up(): boolean {
    return this.#process?.alive ?? false;
  }

  /** Whether a manager has this node's session. */
  get connected(): boolean {
    return this.up && (this.#worker?.connected() ?? false);
  }

  get manager(): Manager | undefined {
    return this.up ? this.#manager : undefined;
  }

  /** What the machine's programs are told the time is, against the true one. */
  skew = 0;

  /** Begins a cluster here. */
  async create(cluster: NewCluster): Promise<void> {
    this.#identity = new LiveIdentity(cluster.identity);
    this.#managers = [this.addr];
    await this.#run(cluster);
  }

  /** Becomes a node of a cluster that is there, in the role of the token. */
  async join(token: string, managers: string[]): Promise<void> {
    this.#managers = managers;
    this.#boot();
    this.#identity = new LiveIdentity(await this.#certified(token));
    await this.#run();
  }

  /** The daemon starts again; with what was durable. */
  start(): void {
    if (this.up || !this.#identity) return;
    this.#parts.network.dark.delete(this.name);
    this.#run().catch((error) => this.#parts.fail(`${this.name}: ${messageOf(error)}`));
  }

  /** The daemon dies at once; containers go on. `kept`: how many of the pending writes were written all the same. */
  kill(): void {
    this.#die("killed");
    // a process that dies takes nothing from the kernel: what was written is there
    this.disk.crash(this.disk.pending);
  }

  /** The machine loses its power. `kept`: how many of the pending writes were on the disk all the same; else by chance. */
  powerOff(kept = Math.floor(this.#random.next() * (this.disk.pending + 1))): void {
    this.#die("loses its power");
    this.#parts.network.dark.add(this.name);
    this.engine.powerOff();
    this.disk.crash(kept);
  }

  /** The simulation is over. */
  end(): void {
    this.#process?.kill();
  }

  #die(how: string): void {
    this.#parts.trace.say(this.name, how);
    this.#process?.kill();
    this.#manager = undefined;
    this.#worker = undefined;
  }

  #boot(): Process {
    this.#process = new Process(this.name, this.#parts.time, this.skew);
    return this.#process;
  }

  async #run(create?: NewCluster): Promise<void> {
    const process = create || !this.up ? this.#boot() : this.#process!;
    const identity = this.#identity!;
    this.#parts.trace.say(this.name, "starts");
    const server = new SimulatedServer(process, identity);
    this.#parts.switchboard.listen(this.addr, server);
    const wishes = new Wishes({ clock: process.clock, logger: this.#logger("daemon") });
    const become = (role: NodeRole) => wishes.ask("role", () => this.#take(process, server, role));
    this.#become = become;
    this.#worker = startWorker({
      nodeId: identity.current().nodeId,
      managers: this.#managers,
      connect: this.#parts.switchboard.dispatchers(process, () => identity.current()),
      engine: this.engine.door(process),
      dataPathAddr: `192.0.2.${this.name.slice(4)}`,
      clock: process.clock,
      random: seededRandom(this.#random.next() * 2 ** 32),
      logger: this.#logger("worker"),
      onManagers: (addrs) => {
        this.#managers = addrs;
      },
      onRole: become,
    });
    if (identity.current().role !== NodeRole.NODE_ROLE_MANAGER) return;
    if (create) await this.#startManager(process, server, create);
    else become(NodeRole.NODE_ROLE_MANAGER);
  }

  async #startManager(process: Process, server: SimulatedServer, create?: NewCluster): Promise<void> {
    const { switchboard, wires, watch } = this.#parts;
    const identity = this.#identity!;
    const disk = this.disk;
    const join = this.#managers.filter((addr) => addr !== this.addr);
    const manager = await startManager({
      dataDir: this.name,
      identity,
      server,
      addr: this.addr,
      ...(create ? { create } : { join }),
      clock: process.clock,
      random: seededRandom(this.#random.next() * 2 ** 32),
      logger: this.#logger("manager"),
      raft: {
        tickMs: RAFT_TICK_MS,
        heartbeatTicks: 2,
        logTail: 20,
        electionSeed: Math.floor(this.#random.next() * 2 ** 31),
        open: watch.opener(this.name, steppedOpener(disk, process.clock)),
      },
      ports: {
        peers: switchboard.peers(process, () => identity.current()),
        files: {
          read: async (path) => this.#files.get(path),
          write: async (path, data) => void this.#files.set(path, data),
        },
        certify: async (_root, _csr, subject) => `the certificate of ${subject.nodeId}`,
        raftTransport: (id) => wires.transport(process, this.addr, id),
      },
    });
    this.#manager = manager;
    void manager.closed.then((error) => {
      if (this.#manager !== manager || !process.alive) return;
      if (error) this.#parts.fail(`${this.name}: the manager ended: ${error.message}`);
      else this.#become(NodeRole.NODE_ROLE_WORKER);
    });
  }

  #take(process: Process, server: SimulatedServer, role: NodeRole): Promise<void> {
    return takeRole(role, {
      certified: () => this.#identity!.current().role,
      renew: async () => this.#identity!.replace(await this.#certified("")),
      manages: () => this.#manager !== undefined,
      startManager: () => this.#startManager(process, server),
      endManager: async () => {
        const manager = this.#manager;
        if (!manager) return;
        this.#manager = undefined;
        await manager.stop();
        this.#files.clear();
        this.disk.wipe();
      },
    });
  }

  /** A certificate from any manager: for a token, or, without one, a new one for the node's role. */
  async #certified(token: string): Promise<Identity> {
    const peers = this.#parts.switchboard.peers(this.#process!, () => this.#identity?.current());
    let last: unknown = new CreelError("no_leader");
    for (const addr of this.#managers) {
      const peer = peers.open<CaServer>(CaService, addr, { role: NodeRole.NODE_ROLE_MANAGER }, CALL_MS);
      try {
        const csr = Buffer.alloc(0);
        const reply = await peer.calls.issue({ csr, token, availability: Availability.AVAILABILITY_ACTIVE });
        const { nodeId, role, clusterId } = reply;
        return { nodeId, role, clusterId, certificate: "", key: "", root: "" };
      } catch (error) {
        last = error;
      } finally {
        peer.close();
      }
    }
    throw last;
  }

  #logger(part: string): Logger {
    return this.#parts.logger.child({ machine: this.name, part });
  }
}
