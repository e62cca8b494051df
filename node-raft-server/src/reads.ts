import { type Clock, CreelError, type Timer } from "@creel/shared";
import type { LogIndex } from "./types.ts";

interface Waiter {
  resolve: (index: LogIndex) => void;
  reject: (error: CreelError) => void;
}

interface Batch {
  waiters: Waiter[];
  deadline: number;
  timer?: Timer;
  done: boolean;
}

export interface ReadPorts {
  clock: Clock;
  /** Asks the leader, by way of the native side; an unanswered question is asked again. */
  ask: (id: number) => void;
  nextId: () => number;
  whenHandled: (index: LogIndex, done: () => void) => void;
  leader: () => number;
  retryMs: number;
  timeoutMs: number;
}

/**
 * Linearizable reads. Reads that come while one is on its way share the next: each question costs the leader a round
 * of heartbeats. A leader that is new, or none, does not answer, so questions are repeated until the time is up.
 */
export class Reads {
  readonly #ports: ReadPorts;
  readonly #asked = new Map<number, Batch>();
  #next: Waiter[] = [];
  #current: Batch | undefined;

  constructor(ports: ReadPorts) {
    this.#ports = ports;
  }

  read(): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      this.#next.push({ resolve, reject });
      if (!this.#current) this.#start();
    });
  }

  /** The answer to a question. */
  answered(id: number, index: LogIndex): void {
    const batch = this.#asked.get(id);
    if (!batch) return;
    this.#forget(batch);
    batch.timer = this.#ports.clock.after(Math.max(0, batch.deadline - this.#ports.clock.now()), () =>
      this.#settle(batch, this.#late()),
    );
    this.#ports.whenHandled(index, () => this.#settle(batch, index));
    this.#start();
  }

  /** A question was refused; it is asked again until the time is up, unless the server cannot go on. */
  refused(id: number, error: CreelError): void {
    const batch = this.#asked.get(id);
    if (!batch) return;
    this.#forget(batch);
    this.#settle(batch, error);
    this.#start();
  }

  rejectAll(error: CreelError): void {
    const batches = new Set([...this.#asked.values()]);
    this.#asked.clear();
    this.#current = undefined;
    for (const waiter of this.#next.splice(0)) waiter.reject(error);
    for (const batch of batches) this.#settle(batch, error);
  }

  #start(): void {
    if (this.#next.length === 0) return;
    const waiters = this.#next;
    this.#next = [];
    const batch: Batch = { waiters, deadline: this.#ports.clock.now() + this.#ports.timeoutMs, done: false };
    this.#current = batch;
    this.#ask(batch);
  }

  #ask(batch: Batch): void {
    if (batch.done || this.#current !== batch) return;
    if (this.#ports.clock.now() >= batch.deadline) {
      this.#forget(batch);
      this.#settle(batch, this.#late());
      this.#start();
      return;
    }
    const id = this.#ports.nextId();
    this.#asked.set(id, batch);
    batch.timer = this.#ports.clock.after(this.#ports.retryMs, () => this.#ask(batch));
    this.#ports.ask(id);
  }

  #late(): CreelError {
    if (this.#ports.leader() === 0) return new CreelError("no_leader");
    return new CreelError("timeout", { what: "the leader", ms: this.#ports.timeoutMs });
  }

  #forget(batch: Batch): void {
    batch.timer?.cancel();
    for (const [id, of] of this.#asked) if (of === batch) this.#asked.delete(id);
    if (this.#current === batch) this.#current = undefined;
  }

  #settle(batch: Batch, result: LogIndex | CreelError): void {
    if (batch.done) return;
    batch.done = true;
    batch.timer?.cancel();
    for (const waiter of batch.waiters) {
      if (typeof result === "number") waiter.resolve(result);
      else waiter.reject(result);
    }
  }
}
