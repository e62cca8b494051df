import { type Clock, type Millis, newId, type Random, sleep } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { createLoops, runLoops } from "../loops/mod.ts";
import {
  type ChangeSet,
  fullChange,
  isEmpty,
  mergeChanges,
  noChange,
  type Refusal,
  type Store,
  type StoreView,
} from "../store/mod.ts";
import { agentReports } from "./agents.ts";

/** Changes that wait for their time are waited for so long: the delays of updates and restarts. */
const HORIZON = 12 * 3_600_000;
const MAX_ROUNDS = 20_000;
/** The time that one rehearsal may work, and for how long without a pause. */
const MAX_WORK_MS = 8_000;
const MAX_TURN_MS = 15;

/**
 * The cluster played on a fork of the store: the production loops, agents that do at once what they are told, and a
 * clock that goes to where something happens.
 */
export class Rehearsal {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #loops = createLoops();
  #now: Millis;
  #index: number;
  #pending: ChangeSet;

  constructor(store: Store, ports: { clock: Clock; random: Random }) {
    this.#store = store;
    this.#clock = ports.clock;
    this.#random = ports.random;
    const { index, time } = store.view();
    this.#index = index;
    this.#now = Math.max(time, ports.clock.now());
    this.#pending = fullChange(index, this.#now);
  }

  get view(): StoreView {
    return this.#store.view();
  }

  get store(): Store {
    return this.#store;
  }

  apply(actions: Action[]): readonly Refusal[] {
    const changed = this.#store.apply({ time: this.#now, actions }, ++this.#index);
    this.#pending = mergeChanges(this.#pending, changed);
    return changed.refusals;
  }

  /** Goes on until nothing is left to do; false where it had to stop before. */
  async settle(): Promise<boolean> {
    const end = this.#clock.now() + MAX_WORK_MS;
    const horizon = this.#now + HORIZON;
    let turn = this.#clock.now();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const now = this.#clock.now();
      if (now >= end) return false;
      if (now - turn >= MAX_TURN_MS) {
        await sleep(this.#clock, 0);
        turn = this.#clock.now();
      }
      const wakeAt = this.round();
      if (wakeAt === undefined) continue;
      if (wakeAt > horizon) return true;
      this.#now = wakeAt;
      this.#pending = noChange(this.#index, this.#now);
    }
    return false;
  }

  /** One round of loops and agents. When nothing is left to do now: the time at which something is, infinite if never. */
  round(): Millis | undefined {
    const changed = this.#pending;
    this.#pending = noChange(this.#index, this.#now);
    const context = { now: this.#now, newId: () => newId(this.#random) };
    const { actions, wakeAt } = runLoops(this.#loops, this.view, changed, context);
    if (actions.length > 0) this.apply(actions);
    const reports = agentReports(this.view, mergeChanges(changed, this.#pending), this.#now);
    if (reports.length > 0) this.apply(reports);
    if (!isEmpty(this.#pending)) return undefined;
    return Math.max(wakeAt ?? Number.POSITIVE_INFINITY, this.#now + 1);
  }
}
