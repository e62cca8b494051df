import type { Clock, Millis, Timer } from "@creel/shared";

/** When every simulation begins. */
export const START: Millis = Date.UTC(2026, 0, 1);

interface Event {
  at: Millis;
  /** Of two at the same time the one that was asked for first. */
  order: number;
  fn: (() => void) | undefined;
}

/**
 * The time of a simulated world. It stands still while anything is done, and goes on from event to event; between two
 * events everything that the first set off comes to its end.
 */
export class VirtualTime {
  now: Millis = START;
  /** Events so far. */
  events = 0;
  readonly #heap: Event[] = [];
  #order = 0;

  after(ms: number, fn: () => void): Timer {
    const event: Event = { at: this.now + Math.max(0, ms), order: this.#order++, fn };
    this.#push(event);
    return {
      cancel: () => {
        event.fn = undefined;
      },
    };
  }

  /** Lets time pass until `end`, or until `done`. Throws what an event throws. */
  async run(end: Millis, done: () => boolean = () => false): Promise<void> {
    await turn();
    while (!done()) {
      const event = this.#heap[0];
      if (!event || event.at > end) {
        this.now = end;
        return;
      }
      this.#pop();
      if (!event.fn) continue;
      this.now = event.at;
      this.events++;
      event.fn();
      await turn();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isEarlier(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isEarlier(heap[child + 1]!, heap[child]!)) child++;
      if (!isEarlier(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isEarlier(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Everything that waits for promises only has been done when this resolves. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A program that runs on a simulated machine. When it is killed, nothing that it began goes on. */
export class Process {
  readonly machine: string;
  readonly clock: Clock;
  #alive = true;

  /** `skew`: how far the machine's clock is off. */
  constructor(machine: string, time: VirtualTime, skew: Millis) {
    this.machine = machine;
    this.clock = {
      now: () => Math.round(time.now + skew),
      after: (ms, fn) => time.after(ms, () => this.#alive && fn()),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#alive = false;
  }

  /** What comes of something outside of the program; nothing any more once it was killed. */
  outside<T>(begin: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#alive) return;
      begin().then(
        (value) => this.#alive && resolve(value),
        (error) => this.#alive && reject(error),
      );
    });
  }
}
