import type { Manager, NewCluster, StoreView } from "@creel/manager";
import { newId, type Random, seededRandom } from "@creel/shared";
import { Cluster, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { pino } from "pino";
import { Switchboard } from "./calls.ts";
import { LogWatch } from "./checks/log.ts";
import { Machine } from "./machine.ts";
import { Network } from "./network.ts";
import type { Parts } from "./parts.ts";
import { RaftWires } from "./raft.ts";
import { VirtualTime } from "./time.ts";
import { Trace } from "./trace.ts";

const WORKER_TOKEN = "worker token";
const MANAGER_TOKEN = "manager token";
/** Within it a cluster that nothing disturbs is complete. */
const SET_UP_MS = 120_000;

/** How many machines there are, and what each becomes. */
export interface Size {
  managers: number;
  workers: number;
}

/** A cluster on simulated machines. */
export class World {
  readonly time = new VirtualTime();
  readonly trace = new Trace(this.time);
  readonly random: Random;
  readonly network: Network;
  readonly watch: LogWatch;
  readonly machines: Machine[];
  readonly #size: Size;
  #failure: string | undefined;

  constructor(seed: number, size: Size) {
    this.#size = size;
    this.random = seededRandom(seed);
    const fork = () => seededRandom(this.random.next() * 2 ** 32);
    const fail = (what: string) => this.fail(what);
    this.network = new Network(this.time, fork());
    this.watch = new LogWatch(this.trace, fail);
    const lines = { write: (line: string) => this.#logged(line) };
    const parts: Parts = {
      time: this.time,
      random: fork(),
      trace: this.trace,
      network: this.network,
      switchboard: new Switchboard(this.network),
      wires: new RaftWires(this.network),
      watch: this.watch,
      logger: pino({ level: "info", base: null, timestamp: false }, lines),
      fail,
    };
    this.machines = Array.from({ length: size.managers + size.workers }, (_, i) => new Machine(i + 1, parts));
  }

  /** What happened that must not; the first of it. */
  get failure(): string | undefined {
    return this.#failure;
  }

  fail(what: string): void {
    if (this.#failure !== undefined) return;
    this.#failure = what;
    this.trace.say("CHECK", what);
  }

  /** Lets time pass. */
  async pass(ms: number, done: () => boolean = () => false): Promise<void> {
    await this.time.run(this.time.now + ms, () => this.#failure !== undefined || done());
  }

  /** Lets time pass until the promise is settled; undefined where it is not by then. */
  async settle<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
    let settled = false;
    let value: T | undefined;
    promise.then(
      (result) => {
        value = result;
        settled = true;
      },
      (error) => {
        this.fail(String(error));
        settled = true;
      },
    );
    await this.pass(ms, () => settled);
    return value;
  }

  /** Makes the cluster: all machines in it, in their roles. */
  async setUp(): Promise<void> {
    const [first, ...others] = this.machines;
    await this.settle(first!.create(this.#newCluster()), SET_UP_MS);
    for (const [i, machine] of others.entries()) {
      const token = i + 1 < this.#size.managers ? MANAGER_TOKEN : WORKER_TOKEN;
      await this.settle(machine.join(token, [first!.addr]), SET_UP_MS);
    }
    const complete = () => {
      const managers = this.machines.filter((machine) => machine.manager).length;
      return managers === this.#size.managers && this.machines.every((machine) => machine.connected);
    };
    await this.pass(SET_UP_MS, complete);
    if (!complete()) this.fail("the cluster did not come up");
  }

  /** Nothing goes on here any more. */
  end(): void {
    for (const machine of this.machines) machine.end();
  }

  leader(): Manager | undefined {
    return this.machines.find((machine) => machine.manager?.leading)?.manager;
  }

  /** The leader's state. */
  view(): StoreView | undefined {
    return this.leader()?.view();
  }

  /** Managers that serve. */
  managers(): Machine[] {
    return this.machines.filter((machine) => machine.manager);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random.next() * list.length)]!;
  }

  /** An integer from `low` to `high`. */
  between(low: number, high: number): number {
    return low + Math.floor(this.random.next() * (high - low + 1));
  }

  chance(part: number): boolean {
    return this.random.next() < part;
  }

  #newCluster(): NewCluster {
    const clusterId = newId(this.random);
    const text = (value: string) => Buffer.from(value);
    return {
      identity: {
        nodeId: newId(this.random),
        role: NodeRole.NODE_ROLE_MANAGER,
        clusterId,
        certificate: "",
        key: "",
        root: "",
      },
      availability: 0,
      cluster: Cluster.fromPartial({
        id: clusterId,
        spec: {
          name: "default",
          taskHistoryLimit: 2,
          snapshotInterval: 100,
          heartbeatPeriod: 2_000,
        },
        rootCa: {
          certificate: text("root"),
          key: text("key"),
          workerToken: WORKER_TOKEN,
          managerToken: MANAGER_TOKEN,
        },
        defaultAddrPool: ["10.0.0.0/8"],
        subnetSize: 24,
        dataPathPort: 4789,
      }),
    };
  }

  #logged(line: string): void {
    const { level, machine, part, msg, ...more } = JSON.parse(line);
    const word = level >= 50 ? "ERROR " : level >= 40 ? "warns: " : "";
    const rest = Object.keys(more).length > 0 ? ` ${JSON.stringify(more)}` : "";
    this.trace.say(machine, `${part}: ${word}${msg}${rest}`);
  }
}
