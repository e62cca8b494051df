// Random cuts, losses, restarts and snapshots under load; afterwards all nodes agree and nothing acknowledged is lost.
import { strict as assert } from "node:assert";
import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Random, seededRandom, systemClock } from "@creel/shared";
import { type Inbound, openRaft, type RaftServer } from "../src/mod.ts";
import { until } from "./cluster.ts";

const IDS = [1, 2, 3];

/** A network in memory that loses what it is told to. */
class Network {
  readonly inbound = new Map<number, Inbound>();
  readonly cut = new Set<string>();
  loss = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  transport(id: number) {
    return (inbound: Inbound) => {
      this.inbound.set(id, inbound);
      return {
        send: (to: { id: number }, message: Uint8Array, snapshot: boolean) => {
          const lost = this.cut.has(`${id}-${to.id}`) || this.#random.next() < this.loss;
          const copy = Buffer.from(message);
          setImmediate(() => {
            const taken = !lost && (this.inbound.get(to.id)?.deliver(id, copy) ?? false);
            if (snapshot) inbound.snapshotSent(to.id, taken);
          });
        },
        close: () => this.inbound.delete(id),
      };
    };
  }

  heal(): void {
    this.cut.clear();
    this.loss = 0;
  }
}

class Replica {
  readonly id: number;
  raft!: RaftServer;
  state: string[] = [];
  #loop: Promise<void> | undefined;

  constructor(id: number) {
    this.id = id;
  }

  async start(dir: string, network: Network, seed: number): Promise<void> {
    this.state = [];
    this.raft = await openRaft({
      dir: join(dir, `${this.id}`),
      id: this.id,
      bootstrap: IDS.map((id) => ({ id, address: `${id}` })),
      clock: systemClock,
      tickMs: 5,
      electionSeed: seed,
      logTail: 5,
      minFreeBytes: 0,
      transport: network.transport(this.id),
    });
    this.#loop = this.#consume();
  }

  async stop(): Promise<void> {
    await this.raft?.stop();
    await this.#loop;
  }

  async #consume(): Promise<void> {
    for await (const piece of this.raft.committed) {
      if (piece.kind === "snapshot") this.state = Buffer.from(piece.data).toString().split(",");
      if (piece.kind !== "entry") continue;
      this.state.push(Buffer.from(piece.data).toString());
      if (piece.index % 40 === 0) {
        void this.raft.snapshot(piece.index, Buffer.from(this.state.join(","))).catch(() => {});
      }
    }
  }
}

describe("a group under faults", function () {
  this.timeout(120_000);

  it("agrees, and keeps what it acknowledged", async () => {
    const seed = Number(process.env.CREEL_TEST_SEED ?? randomInt(1 << 30));
    console.log(`      seed ${seed} (CREEL_TEST_SEED)`);
    const random = seededRandom(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)]!;
    const dir = mkdtempSync(join(tmpdir(), "creel-raft-faults-"));
    const network = new Network(random);
    const replicas = IDS.map((id) => new Replica(id));
    const acknowledged: string[] = [];
    let running = true;
    let count = 0;
    const propose = async () => {
      while (running) {
        const leader = replicas.find((r) => r.raft.status().role === "leader");
        count += 1;
        const value = `${count}`;
        try {
          if (!leader) throw new Error("nobody leads");
          await leader.raft.propose(Buffer.from(value));
          acknowledged.push(value);
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
    };
    try {
      await Promise.all(replicas.map((r) => r.start(dir, network, seed)));
      const proposers = Array.from({ length: 4 }, propose);
      for (let step = 0; step < 60; step += 1) {
        const kind = random.next();
        const one = pick(replicas);
        if (kind < 0.35)
          for (const other of IDS)
            for (const pair of [`${one.id}-${other}`, `${other}-${one.id}`]) network.cut.add(pair);
        else if (kind < 0.45) network.cut.add(`${one.id}-${pick(IDS)}`);
        else if (kind < 0.55) network.loss = random.next() * 0.3;
        else if (kind < 0.7) {
          await one.stop();
          await one.start(dir, network, seed);
        } else network.heal();
        await new Promise((resolve) => setTimeout(resolve, 30 + random.next() * 120));
      }
      network.heal();
      const before = acknowledged.length;
      await until("proposals go through again", () => acknowledged.length > before + 20);
      running = false;
      await Promise.all(proposers);
      await until("all are equal", () => {
        const [first, ...rest] = replicas.map((r) => r.state.join(","));
        return rest.every((s) => s === first);
      });
      const state = replicas[0]!.state;
      assert.equal(new Set(state).size, state.length, "nothing was taken twice");
      const there = new Set(state);
      assert.deepEqual(
        acknowledged.filter((v) => !there.has(v)),
        [],
        "everything acknowledged is there",
      );
      console.log(
        `      ${acknowledged.length} acknowledged, ${count - acknowledged.length} refused or unknown`,
      );
    } finally {
      running = false;
      network.heal();
      await Promise.all(replicas.map((r) => r.stop()));
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
