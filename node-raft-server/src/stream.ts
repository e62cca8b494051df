import { CreelError } from "@creel/shared";
import type { Committed, LogIndex } from "./types.ts";

type Item = Committed | { kind: "reached"; index: LogIndex };

/** As the native side weighs a piece. */
const weight = (item: Committed) => 64 + (item.kind === "membership" ? 0 : item.data.length);

/**
 * The committed stream, between the node and its one consumer. It knows how far the consumer is, and calls those who
 * wait for that.
 */
export class CommittedStream implements AsyncIterable<Committed>, AsyncIterator<Committed> {
  readonly #queue: Item[] = [];
  #head = 0;
  readonly #consumed: (bytes: number) => void;
  #unreported = 0;
  #waiting: { resolve: (r: IteratorResult<Committed>) => void; reject: (e: unknown) => void } | undefined;
  #ended: { error?: CreelError } | undefined;
  #handed: LogIndex = 0;
  #handled: LogIndex = 0;
  #watchers: { index: LogIndex; done: () => void }[] = [];

  constructor(consumed: (bytes: number) => void) {
    this.#consumed = consumed;
  }

  /** How far the consumer is. */
  get handled(): LogIndex {
    return this.#handled;
  }

  [Symbol.asyncIterator](): AsyncIterator<Committed> {
    return this;
  }

  next(): Promise<IteratorResult<Committed>> {
    if (this.#waiting) {
      return Promise.reject(new CreelError("internal", { message: "committed has one consumer" }));
    }
    // Asking for more says that the last piece is done with.
    this.#advance(this.#handed);
    const item = this.#take();
    if (item) return Promise.resolve({ done: false, value: item });
    if (this.#ended?.error) return Promise.reject(this.#ended.error);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** The consumer left its loop: what waits for it never comes. */
  return(): Promise<IteratorResult<Committed>> {
    return Promise.resolve({ done: true, value: undefined });
  }

  push(item: Item): void {
    this.#queue.push(item);
    if (!this.#waiting) return;
    const next = this.#take();
    if (!next) return;
    const { resolve } = this.#waiting;
    this.#waiting = undefined;
    resolve({ done: false, value: next });
  }

  /** The consumer says how far it is. */
  applied(index: LogIndex): void {
    this.#advance(Math.min(index, this.#handed));
  }

  /** Calls `done` once the consumer is done with `index`. */
  whenHandled(index: LogIndex, done: () => void): void {
    if (index <= this.#handled) {
      done();
      return;
    }
    let at = this.#watchers.length;
    while (at > 0 && this.#watchers[at - 1]!.index > index) at -= 1;
    this.#watchers.splice(at, 0, { index, done });
  }

  /** Nothing comes any more: the consumer's loop ends, or throws the error. */
  end(error?: CreelError): void {
    if (this.#ended) return;
    this.#ended = error ? { error } : {};
    this.#watchers = [];
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (error) waiting?.reject(error);
    else waiting?.resolve({ done: true, value: undefined });
  }

  #take(): Committed | undefined {
    while (this.#head < this.#queue.length) {
      const item = this.#queue[this.#head]!;
      this.#queue[this.#head] = undefined as never;
      this.#head += 1;
      if (item.kind === "reached") {
        this.#handed = item.index;
        this.#advance(item.index);
        continue;
      }
      this.#compact();
      this.#handed = item.index;
      this.#report(weight(item));
      return item;
    }
    this.#compact();
    return undefined;
  }

  #compact(): void {
    if (this.#head < this.#queue.length && this.#head < 1024) return;
    this.#queue.splice(0, this.#head);
    this.#head = 0;
  }

  #report(bytes: number): void {
    this.#unreported += bytes;
    if (this.#unreported < 1 << 20 && this.#head < this.#queue.length) return;
    this.#consumed(this.#unreported);
    this.#unreported = 0;
  }

  #advance(index: LogIndex): void {
    if (index <= this.#handled) return;
    this.#handled = index;
    let count = 0;
    while (count < this.#watchers.length && this.#watchers[count]!.index <= index) count += 1;
    for (const watcher of this.#watchers.splice(0, count)) watcher.done();
  }
}
