import assert from "node:assert/strict";
import type { Clock, Timer } from "@creel/shared";
import { Liveness } from "../../src/dispatcher/liveness.ts";

/** A clock that a test moves by hand. */
class HandClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; fn: () => void }>();

  now(): number {
    return this.#now;
  }
  after(ms: number, fn: () => void): Timer {
    const timer = { at: this.#now + ms, fn };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due);
      this.#now = due.at;
      due.fn();
    }
    this.#now = end;
  }
  /** The time of day is another at once; timers do not care. */
  jump(ms: number): void {
    this.#now += ms;
    for (const timer of this.#timers) timer.at += ms;
  }
  get waiting(): number {
    return this.#timers.size;
  }
}

describe("dispatcher/liveness", () => {
  it("gives three periods since the last sign of life", () => {
    const clock = new HandClock();
    const silent: string[] = [];
    const liveness = new Liveness(
      clock,
      () => 1_000,
      (id) => silent.push(`${id}@${clock.now()}`),
    );
    liveness.touch("a");
    liveness.touch("b");
    for (let i = 0; i < 10; i++) {
      clock.advance(1_000);
      liveness.touch("a");
    }
    assert.deepEqual(silent, ["b@3000"]);
    clock.advance(10_000);
    assert.deepEqual(silent, ["b@3000", "a@13000"]);
    assert.equal(clock.waiting, 0);
  });

  it("forgets nodes that are gone, and leaves no timer behind", () => {
    const clock = new HandClock();
    const liveness = new Liveness(
      clock,
      () => 1_000,
      () => assert.fail("nobody is silent"),
    );
    liveness.touch("a");
    liveness.touch("b");
    liveness.forget("a");
    liveness.stop();
    clock.advance(60_000);
    assert.equal(clock.waiting, 0);
  });

  it("expects a node by the period it knows: a shorter one counts from the next sign of life", () => {
    const clock = new HandClock();
    const silent: string[] = [];
    let period = 5_000;
    const liveness = new Liveness(
      clock,
      () => period,
      (id) => silent.push(`${id}@${clock.now()}`),
    );
    liveness.touch("told");
    liveness.touch("untold");
    period = 1_000;
    clock.advance(1_000);
    liveness.touch("told");
    clock.advance(20_000);
    assert.deepEqual(silent, ["told@4000", "untold@15000"]);
    assert.equal(clock.waiting, 0);
  });

  it("blames nobody for a time in which it stood still itself, or that a set clock made up", () => {
    const clock = new HandClock();
    const silent: string[] = [];
    const liveness = new Liveness(
      clock,
      () => 1_000,
      (id) => silent.push(`${id}@${clock.now()}`),
    );
    liveness.touch("a");
    clock.jump(3_600_000);
    clock.advance(5_900);
    assert.deepEqual(silent, []);
    liveness.touch("a");
    clock.jump(-7_200_000);
    clock.advance(3_000);
    assert.deepEqual(silent, []);
    clock.advance(3_000);
    assert.equal(silent.length, 1);
    assert.equal(clock.waiting, 0);
  });
});
