import type { Clock, Millis, Timer } from "@creel/shared";

/** Missed heartbeats after which a node counts as down. */
const GRACE_PERIODS = 3;

interface Watched {
  lastSeen: Millis;
  timer: Timer;
}

/** Watches for nodes that fall silent. One timer a node, moved on only when it fires. */
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
    const now = this.#clock.now();
    if (known) known.lastSeen = now;
    else this.#nodes.set(nodeId, { lastSeen: now, timer: this.#arm(nodeId, this.#grace()) });
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

  #grace(): Millis {
    return GRACE_PERIODS * this.#period();
  }

  #arm(nodeId: string, ms: Millis): Timer {
    return this.#clock.after(ms, () => this.#check(nodeId));
  }

  #check(nodeId: string): void {
    const watched = this.#nodes.get(nodeId);
    if (!watched) return;
    const left = watched.lastSeen + this.#grace() - this.#clock.now();
    if (left > 0) {
      watched.timer = this.#arm(nodeId, left);
      return;
    }
    this.#nodes.delete(nodeId);
    this.#onSilent(nodeId);
  }
}
