import { strict as assert } from "node:assert";
import type { Clock } from "@creel/shared";
import { openRaft, type RaftServer } from "../src/mod.ts";
import { MemoryDisk, steppedOpener } from "../src/simulation/mod.ts";

/** Time that passes only in `pass`. */
class HandClock implements Clock {
  #now = 0;
  #timers: { at: number; fn: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void) {
    const timer = { at: this.#now + ms, fn };
    this.#timers.push(timer);
    const cancel = () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
    return { cancel };
  }

  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#timers.sort((a, b) => a.at - b.at)[0];
      if (!next || next.at > end) break;
      this.#timers.shift();
      this.#now = next.at;
      next.fn();
    }
    this.#now = end;
  }
}

describe("a node in memory", () => {
  const clock = new HandClock();
  const seen: string[] = [];

  async function start(disk: MemoryDisk): Promise<RaftServer> {
    const raft = await openRaft({
      dir: "/nowhere",
      id: 1,
      bootstrap: [{ id: 1, address: "n1" }],
      clock,
      electionSeed: 1,
      open: steppedOpener(disk, clock),
      transport: () => ({ send: () => {}, close: () => {} }),
    });
    seen.length = 0;
    void (async () => {
      for await (const piece of raft.committed)
        if (piece.kind === "entry") seen.push(Buffer.from(piece.data).toString());
    })();
    await clock.pass(100);
    return raft;
  }

  it("acknowledges once its disk has synced, and a power cut takes only what was not acknowledged", async () => {
    const disk = new MemoryDisk();
    const opening = start(disk);
    await clock.pass(100);
    const raft = await opening;
    let acknowledged = 0;
    const propose = (text: string) => {
      void raft.propose(Buffer.from(text)).then(() => {
        acknowledged += 1;
      });
    };
    propose("a");
    await clock.pass(10);
    assert.equal(acknowledged, 1);
    disk.syncMs = () => 1_000;
    propose("b");
    await clock.pass(999);
    assert.equal(acknowledged, 1);
    disk.crash(0);
    disk.syncMs = () => 1;
    const reopening = start(disk);
    await clock.pass(100);
    await reopening;
    assert.deepEqual(seen, ["a"]);
  });
});
