import { type Clock, type Logger, messageOf, newId, type Random, type Timer } from "@creel/shared";
import { inEntries } from "./batcher.ts";
import { createLoops, type NamedLoop, runLoops } from "./loops/mod.ts";
import type { Replica } from "./replica.ts";
import { type ChangeSet, fullChange, mergeChanges, noChange } from "./store/mod.ts";

/** After a round whose proposals were lost. */
const RETRY_MS = 200;

/**
 * Runs the loops while this manager leads: a round for what changed, its actions proposed and applied, and the next
 * round for what changed meanwhile. It sleeps when nothing does, but for the time a loop asked to be woken at.
 */
export class Orchestrator {
  readonly #replica: Replica;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  #loops: NamedLoop[] = [];
  /** Counts terms of leadership: a round of an earlier one ends silently. */
  #term = 0;
  #leading = false;
  #busy = false;
  #pending: ChangeSet | undefined;
  #timer: Timer | undefined;

  constructor(options: { replica: Replica; clock: Clock; random: Random; logger: Logger }) {
    this.#replica = options.replica;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.logger.child({ part: "orchestrator" });
  }

  /** Begins as the leader, looking at everything. */
  start(): void {
    this.#term++;
    this.#leading = true;
    this.#busy = false;
    this.#loops = createLoops();
    const { index, time } = this.#replica.view();
    this.#pending = fullChange(index, time);
    this.#wake();
  }

  /** Leads no longer. */
  stop(): void {
    this.#term++;
    this.#leading = false;
    this.#pending = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Takes in what an entry changed. */
  changed(changes: ChangeSet): void {
    if (!this.#leading) return;
    this.#pending = this.#pending ? mergeChanges(this.#pending, changes) : changes;
    this.#wake();
  }

  #wake(): void {
    if (this.#busy) return;
    this.#busy = true;
    const term = this.#term;
    this.#clock.after(0, () => void this.#rounds(term));
  }

  async #rounds(term: number): Promise<void> {
    while (term === this.#term && this.#pending) {
      const changes = this.#pending;
      this.#pending = undefined;
      const taken = await this.#round(changes);
      if (term !== this.#term) return;
      if (taken) continue;
      await new Promise<void>((resolve) => this.#clock.after(RETRY_MS, resolve));
      if (term !== this.#term) return;
      const { index, time } = this.#replica.view();
      this.#pending = fullChange(index, time);
    }
    if (term === this.#term) this.#busy = false;
  }

  /** False when something of it was lost: then everything is to be looked at again. */
  async #round(changes: ChangeSet): Promise<boolean> {
    this.#timer?.cancel();
    this.#timer = undefined;
    try {
      const now = this.#clock.now();
      const context = { now, newId: () => newId(this.#random) };
      const { actions, wakeAt } = runLoops(this.#loops, this.#replica.view(), changes, context);
      if (wakeAt !== undefined) {
        this.#timer = this.#clock.after(Math.max(1, wakeAt - now), () => this.#timeCame());
      }
      const results = await Promise.allSettled(
        inEntries(actions).map((entry) => this.#replica.propose(entry)),
      );
      for (const result of results) if (result.status === "rejected") throw result.reason;
      return true;
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, "a round of the loops was lost");
      return false;
    }
  }

  #timeCame(): void {
    this.#timer = undefined;
    const { index } = this.#replica.view();
    this.changed(noChange(index, this.#clock.now()));
  }
}
