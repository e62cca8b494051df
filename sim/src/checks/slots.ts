import type { Machine } from "../machine.ts";
import type { LogWatch } from "./log.ts";

/**
 * How long two processes may hold one slot while both machines have their sessions: a replacement that runs before the
 * old task has stopped, and the old task's grace period.
 */
const ALLOWED_MS = 30_000;

/** No slot runs twice for longer than the rules allow. */
export class SlotWatch {
  readonly #log: LogWatch;
  readonly #fail: (what: string) => void;
  /** Since when, by slot and tasks. */
  readonly #doubles = new Map<string, number>();

  constructor(log: LogWatch, fail: (what: string) => void) {
    this.#log = log;
    this.#fail = fail;
  }

  look(machines: Machine[], led: boolean, now: number): void {
    const holders = new Map<string, { task: string; machine: Machine }[]>();
    for (const machine of machines) {
      for (const task of machine.engine.running()) {
        const slot = this.#log.slotOf(task);
        if (slot === undefined) continue;
        const held = holders.get(slot);
        if (held) held.push({ task, machine });
        else holders.set(slot, [{ task, machine }]);
      }
    }
    const seen = new Set<string>();
    for (const [slot, held] of holders) {
      // A machine that nobody reaches runs on: that is its right. So does one whose engine does not answer.
      const reached = held.filter(({ machine }) => led && machine.connected && !machine.engine.away);
      if (reached.length < 2) continue;
      const key = `${slot} ${reached.map(({ task }) => task).sort()}`;
      seen.add(key);
      const since = this.#doubles.get(key) ?? now;
      this.#doubles.set(key, since);
      if (now - since > ALLOWED_MS) {
        const places = reached.map(({ task, machine }) => `${task.slice(0, 6)} on ${machine.name}`);
        this.#fail(`slot ${slot} has been running twice for ${(now - since) / 1000} s: ${places.join(", ")}`);
      }
    }
    for (const key of this.#doubles.keys()) if (!seen.has(key)) this.#doubles.delete(key);
  }
}
