import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, systemClock, systemRandom } from "@creel/shared";
import type { ClusterSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { ClusterServer, type Identity, LiveIdentity } from "@creel/shared/tls";
import { joinCluster, type Manager, type ManagerOptions, newCluster, startManager } from "../../src/mod.ts";
import type { StoreView } from "../../src/store/mod.ts";

const ports = { clock: systemClock, random: systemRandom };

/** Waits until `reached` gives something; no test of how fast. */
export async function until<T>(
  what: string,
  reached: () => T | undefined | false | Promise<T | undefined | false>,
) {
  const end = Date.now() + 30_000;
  for (;;) {
    const value = await reached();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A node with its TLS port, and the manager on it. */
export class TestNode {
  readonly live: LiveIdentity;
  readonly dir: string;
  server: ClusterServer;
  port = 0;
  #manager: Manager | undefined;

  constructor(identity: Identity, dir: string) {
    this.live = new LiveIdentity(identity);
    this.dir = dir;
    this.server = new ClusterServer({ identity: this.live, clock: systemClock });
  }

  get id(): string {
    return this.live.current().nodeId;
  }
  get addr(): string {
    return `127.0.0.1:${this.port}`;
  }
  get manager(): Manager {
    if (!this.#manager) throw new Error(`node ${this.id} runs no manager`);
    return this.#manager;
  }
  get running(): boolean {
    return this.#manager !== undefined;
  }

  /** The state as of now; a read gives up sooner than a busy machine may answer. */
  view(): Promise<StoreView> {
    return until("a majority answers", () => this.manager.linearizableView().catch(() => undefined));
  }

  async start(how: Pick<ManagerOptions, "create" | "join"> = {}): Promise<void> {
    this.port = await this.server.listen(`127.0.0.1:${this.port}`);
    this.#manager = await startManager({
      ...how,
      ...ports,
      dataDir: this.dir,
      identity: this.live,
      server: this.server,
      addr: this.addr,
      logger: createLogger(process.env.CREEL_TEST_LOG ?? "silent", { node: this.id.slice(0, 5) }),
      raft: { tickMs: 30, logTail: 10, encryptionKey: Buffer.alloc(32, this.id) },
    });
  }

  async stop(): Promise<void> {
    await this.#manager?.stop();
    this.#manager = undefined;
    await this.server.stop();
    this.server = new ClusterServer({ identity: this.live, clock: systemClock });
  }
}

/** Managers of one cluster in this process: real ports, real logs, in a directory of their own. */
export class TestCluster {
  readonly nodes: TestNode[] = [];
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async start(managers: number, spec: Partial<ClusterSpec> = {}): Promise<TestCluster> {
    const cluster = new TestCluster(await mkdtemp(join(tmpdir(), "creel-managers-")));
    try {
      const create = await newCluster({ spec: { heartbeatPeriod: 200, ...spec } }, ports);
      const first = new TestNode(create.identity, join(cluster.dir, "1"));
      cluster.nodes.push(first);
      await first.start({ create });
      while (cluster.nodes.length < managers) await cluster.addManager();
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async addManager(): Promise<TestNode> {
    const identity = await this.join("manager");
    const node = new TestNode(identity, join(this.dir, String(this.nodes.length + 1)));
    this.nodes.push(node);
    await node.start({ join: this.nodes.filter((other) => other.running).map((other) => other.addr) });
    return node;
  }

  /** A new node's identity, got with the token of that role. */
  async join(role: "manager" | "worker"): Promise<Identity> {
    const first = this.nodes.find((node) => node.running)!;
    const { workerToken, managerToken } = first.manager.view().cluster().rootCa!;
    const { identity } = await joinCluster({
      remoteAddrs: [first.addr],
      token: role === "manager" ? managerToken : workerToken,
      availability: 0,
    });
    return identity;
  }

  async leader(): Promise<TestNode> {
    return await until("a leader", () => this.nodes.find((node) => node.running && node.manager.leading));
  }

  followers(): TestNode[] {
    return this.nodes.filter((node) => node.running && !node.manager.leading);
  }

  addrs(): string[] {
    return this.nodes.filter((node) => node.running).map((node) => node.addr);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    await rm(this.dir, { recursive: true, force: true });
  }
}
