import assert from "node:assert/strict";
import { Cleanup, withCleanup } from "../src/cleanup.ts";
import { measure, median, percentile, table } from "../src/measure.ts";
import { interleave } from "../src/rounds.ts";

const time = { name: "t", unit: "ms", better: "less" } as const;

describe("a measure", () => {
  it("is the median of its samples, and the ratio is ours divided by the peer's", () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 1, 2, 100]), 3);
    const taken = measure(time, [2, 3, 100], { name: "p", samples: [12, 11, 13] });
    assert.deepEqual([taken.ours, taken.peer, taken.ratio], [3, { name: "p", value: 12 }, 0.25]);
    assert.equal(taken.met, undefined);
  });

  it("can be a percentile of its samples", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    assert.deepEqual([percentile(hundred, 99), percentile(hundred, 50), percentile([7], 99)], [99, 50, 7]);
    const p99 = (values: number[]) => percentile(values, 99);
    const taken = measure(time, hundred, { name: "p", samples: [2, 1] }, undefined, p99);
    assert.deepEqual([taken.ours, taken.peer?.value], [99, 2]);
  });

  it("holds its goal, or does not, or has nothing to hold it against", () => {
    const peer = { name: "p", samples: [10] };
    assert.equal(measure(time, [2], peer, { of: "ratio", atMost: 0.25 }).met, true);
    assert.equal(measure(time, [3], peer, { of: "ratio", atMost: 0.25 }).met, false);
    assert.equal(measure(time, [3], peer, { of: "ratio", atLeast: 0.25 }).met, true);
    assert.equal(measure(time, [3], undefined, { of: "value", atMost: 2 }).met, false);
    const alone = measure(time, [3], undefined, { of: "ratio", atMost: 0.25 });
    assert.equal(alone.met, undefined);
    assert.match(table([alone]), /ratio ≤ 0\.25 +not compared/);
  });

  it("says where a time would do at the pace of the machine that its goal is for, and holds the goal by the clock", () => {
    const goal = (...samples: number[]) =>
      ({ of: "value", atMost: 15, pace: { program: "p", reference: 20, samples } }) as const;
    const slow = measure(time, [30], undefined, goal(60, 50, 70));
    assert.deepEqual([slow.ours, slow.paced?.value, slow.paced?.met, slow.met], [30, 10, true, false]);
    assert.match(
      table([slow]),
      /30\.0 .* ≤ 15: 10\.0\* +NOT MET by the clock, met at pace\n\* at p's 20 ms: .* here 60\.0/,
    );
    assert.match(table([measure(time, [30], undefined, goal(30))]), /≤ 15: 20\.0\* +NOT MET\n/);
    const fast = measure(time, [14], undefined, goal(10));
    assert.deepEqual([fast.paced?.value, fast.met], [14, true]);
    assert.match(table([fast]), /≤ 15: 14\.0\* +met\n/);
    assert.match(table([measure(time, [16], undefined, goal(10))]), /≤ 15: 16\.0\* +NOT MET\n/);
  });
});

describe("rounds", () => {
  it("let the sides take turns, turn the order round, and forget the warm-up", async () => {
    const order: string[] = [];
    const side = (name: string) => async () => order.push(name);
    const samples = await interleave(2, { a: side("a"), b: side("b"), absent: undefined }, 1);
    assert.equal(order.join(""), "baabba");
    assert.deepEqual(samples, { a: [3, 6], b: [4, 5] });
  });
});

describe("cleaning up", () => {
  it("undoes in reverse order, all of it, and names what failed", async () => {
    const done: number[] = [];
    const cleanup = new Cleanup();
    cleanup.add("one", () => done.push(1));
    cleanup.add("two", () => {
      throw new Error("stuck");
    });
    cleanup.add("three", async () => done.push(3));
    await assert.rejects(cleanup.run(), /left behind: two: stuck/);
    assert.deepEqual(done, [3, 1]);
  });

  it("happens when the work fails, and when a signal ends it", async () => {
    let undone = 0;
    const failing = withCleanup(async (cleanup) => {
      cleanup.add("it", () => undone++);
      throw new Error("no");
    });
    await assert.rejects(failing, /no/);
    const interrupted = withCleanup(async (cleanup) => {
      cleanup.add("it", () => undone++);
      await new Promise(() => {});
    });
    process.emit("SIGINT", "SIGINT");
    await assert.rejects(interrupted, /ended by SIGINT/);
    assert.equal(undone, 2);
  });
});
