import type { Clock, Millis, Timer } from "@creel/shared";

/** Missed heartbeats after which a node counts as down. */
export const GRACE_PERIODS = 3;

interface Watched {
  lastSeen: Millis;
  /** As the period was when it was last seen: before it hears of a shorter one it is not expected sooner. */
  grace: Millis;
  /** When its timer fires. */
  due: Millis;
  timer: Timer;
}

/** Watches for nodes that fall silent. One timer a node, moved on when it fires. */
export class Liveness {
  readonly #clock: Clock;
  readonly #period: () => Millis;
  readonly #onSilent: (nodeId: string) => void;
  readonly #nodes = new Map<string, Watched>();

  constructor(clock: Clock, period: () => Millis, onSilent: (nodeId: string) => void) {
    this.#clock = clock;
    this.#period = period;
    this.#onSilent = onSilent;
  }

  /** The node was heard of (or is given its time to be). */
  touch(nodeId: string): void {
    const known = this.#nodes.get(nodeId);
    const lastSeen = this.#clock.now();
    const grace = GRACE_PERIODS * this.#period();
    if (known && grace >= known.grace) {
      known.lastSeen = lastSeen;
      known.grace = grace;
      return;
    }
    known?.timer.cancel();
    this.#nodes.set(nodeId, { lastSeen, grace, due: lastSeen + grace, timer: this.#arm(nodeId, grace) });
  }

  /** The node is no longer expected to be heard of. */
  forget(nodeId: string): void {
    this.#nodes.get(nodeId)?.timer.cancel();
    this.#nodes.delete(nodeId);
  }

  stop(): void {
    for (const { timer } of this.#nodes.values()) timer.cancel();
    this.#nodes.clear();
  }

  #arm(nodeId: string, ms: Millis): Timer {
    return this.#clock.after(ms, () => this.#check(nodeId));
  }

  #check(nodeId: string): void {
    const watched = this.#nodes.get(nodeId);
    if (!watched) return;
    const now = this.#clock.now();
    // this process stood still, or somebody set the clock: nobody can be blamed for what was not heard meanwhile
    if (now - watched.due > this.#period() || watched.lastSeen > now) watched.lastSeen = now;
    const left = watched.lastSeen + watched.grace - now;
    if (left > 0) {
      watched.due = now + left;
      watched.timer = this.#arm(nodeId, left);
      return;
    }
    this.#nodes.delete(nodeId);
    this.#onSilent(nodeId);
  }
}
