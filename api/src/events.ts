import { type Clock, type Logger, messageOf, sleep } from "@creel/shared";
import type { ClusterPort, EnginePort } from "./ports.ts";

/** One event in Docker's terms. */
export interface DockerEvent {
  timeNanos: string;
  scope: "local" | "swarm";
  type: string;
  action: string;
  id: string;
  attributes: Record<string, string>;
}

/** How many past events are kept for `since`. */
const KEPT = 1024;
/** A reader that is so far behind is cut off. */
const READER_BOUND = 4096;
const RETRY_MS = 500;

/** Brings the engine's and the cluster's events into one order, keeps the last ones, hands them to readers. */
export class EventHub {
  readonly #engine: EnginePort;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #past: DockerEvent[] = [];
  readonly #readers = new Set<(event: DockerEvent) => void>();
  readonly #abort = new AbortController();
  readonly #unsubscribe: () => void;
  #done: Promise<void>;

  constructor(engine: EnginePort, cluster: ClusterPort, clock: Clock, logger: Logger) {
    this.#engine = engine;
    this.#clock = clock;
    this.#logger = logger;
    this.#unsubscribe = cluster.onEvent((event) =>
      this.publish({
        timeNanos: (BigInt(Math.round(event.timeNanos / 1e6)) * 1_000_000n).toString(),
        scope: "swarm",
        type: event.type,
        action: event.action,
        id: event.id,
        attributes: event.attributes,
      }),
    );
    this.#done = this.#follow();
  }

  /** Adds an event of the API's own. */
  publish(event: DockerEvent): void {
    this.#past.push(event);
    if (this.#past.length > KEPT) this.#past.shift();
    for (const reader of this.#readers) reader(event);
  }

  /** Past events from `since` on ("0": none), then new ones, until `until` ("0": no end) or `signal`. */
  async *read(since: string, until: string, signal: AbortSignal): AsyncGenerator<DockerEvent> {
    const queue: DockerEvent[] = [];
    let wake = () => {};
    let overrun = false;
    const reader = (event: DockerEvent) => {
      if (queue.length >= READER_BOUND) overrun = true;
      else queue.push(event);
      wake();
    };
    const end = BigInt(until);
    const stop = new AbortController();
    const onAbort = () => {
      stop.abort();
      wake();
    };
    signal.addEventListener("abort", onAbort);
    if (since !== "0") queue.push(...this.#past.filter((event) => BigInt(event.timeNanos) >= BigInt(since)));
    this.#readers.add(reader);
    const limit = end === 0n ? undefined : this.#until(end, onAbort);
    try {
      for (;;) {
        for (let event = queue.shift(); event; event = queue.shift()) {
          if (end !== 0n && BigInt(event.timeNanos) > end) return;
          yield event;
        }
        if (overrun || stop.signal.aborted || signal.aborted) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (queue.length > 0 || stop.signal.aborted) resolve();
        });
      }
    } finally {
      limit?.cancel();
      this.#readers.delete(reader);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Ends all readers and the subscription to the engine. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#abort.abort();
    await this.#done;
  }

  #until(end: bigint, fn: () => void) {
    const left = Number(end / 1_000_000n) - this.#clock.now();
    return this.#clock.after(Math.min(Math.max(left, 0), 2 ** 31 - 1), fn);
  }

  async #follow(): Promise<void> {
    let instance = "";
    let last = 0;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        const info = await this.#engine.engine.info({}, { signal, timeoutMs: 5000 });
        if (info.instanceId !== instance) last = 0;
        instance = info.instanceId;
        for await (const event of this.#engine.engine.events({ sinceSeq: Math.max(last, 1) }, { signal })) {
          if (event.seq <= last) continue;
          last = event.seq;
          const { timeNanos, type, action, id, attributes } = event;
          this.publish({ timeNanos, scope: "local", type, action, id, attributes });
        }
      } catch (error) {
        if (!signal.aborted)
          this.#logger.debug({ error: messageOf(error) }, "no events from the engine; trying again");
      }
      await sleep(this.#clock, RETRY_MS, signal);
    }
  }
}
