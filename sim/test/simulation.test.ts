import assert from "node:assert/strict";
import { simulate } from "../src/run.ts";
import { scenarios } from "../src/scenarios/mod.ts";

describe("a simulation", function () {
  this.timeout(60_000);

  it("is the same to the letter from the same seed, and another from another", async () => {
    const [one, again, other] = [await simulate(5, 1), await simulate(5, 1), await simulate(6, 1)];
    assert.equal(one.failure, undefined);
    assert.ok(one.entries > 50 && one.acknowledged > 0, `${one.entries} entries`);
    assert.deepEqual(again.trace, one.trace);
    assert.equal(again.digest, one.digest);
    assert.notEqual(other.digest, one.digest);
  });
});

describe("what a simulation met once", function () {
  this.timeout(60_000);

  for (const { name, play } of scenarios) {
    it(name, async () => {
      const world = await play();
      assert.equal(world.failure, undefined, world.trace.lines.slice(-40).join("\n"));
    });
  }
});
