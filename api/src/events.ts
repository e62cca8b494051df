import { type Clock, type Logger, messageOf, sleep } from "@creel/shared";
import type { ClusterEvent, ClusterPort, EnginePort } from "./ports.ts";

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

/** The type of events of tasks, which Docker has none of. */
export const TASK = "task";

interface Reader {
  tasks: boolean;
  take(event: DockerEvent): void;
}

/** The last events, in a ring. */
class Past {
  readonly #ring: DockerEvent[] = [];
  #next = 0;

  push(event: DockerEvent): void {
    this.#ring[this.#next] = event;
    this.#next = (this.#next + 1) % KEPT;
  }
  from(since: bigint): DockerEvent[] {
    const asTheyCame = [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
    return asTheyCame.filter((event) => BigInt(event.timeNanos) >= since);
  }
}

/** A change of the cluster as an event; what of it costs is made when it is read. */
class SwarmEvent implements DockerEvent {
  readonly scope = "swarm";
  readonly type: string;
  readonly id: string;
  readonly #event: ClusterEvent;

  constructor(event: ClusterEvent) {
    this.type = event.type;
    this.id = event.id;
    this.#event = event;
  }
  get action(): string {
    return this.#event.action;
  }
  get timeNanos(): string {
    return `${Math.round(this.#event.timeNanos / 1e6)}000000`;
  }
  get attributes(): Record<string, string> {
    return this.#event.attributes;
  }
}

/** Brings the engine's and the cluster's events into one order, keeps the last ones, hands them to readers. */
export class EventHub {
  readonly #engine: EnginePort;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #past = new Past();
  readonly #pastTasks = new Past();
  readonly #readers = new Set<Reader>();
  readonly #abort = new AbortController();
  readonly #unsubscribe: () => void;
  #done: Promise<void>;

  constructor(engine: EnginePort, cluster: ClusterPort, clock: Clock, logger: Logger) {
    this.#engine = engine;
    this.#clock = clock;
    this.#logger = logger;
    this.#unsubscribe = cluster.onEvent((event) => this.publish(new SwarmEvent(event)));
    this.#done = this.#follow();
  }

  /** Adds an event of the API's own. */
  publish(event: DockerEvent): void {
    const ofTask = event.type === TASK;
    (ofTask ? this.#pastTasks : this.#past).push(event);
    for (const reader of this.#readers) if (!ofTask || reader.tasks) reader.take(event);
  }

  /** Tells of something that the API did on this node by several calls of the engine. */
  tell(type: string, action: string, id: string, attributes: Record<string, string>): void {
    this.publish({ timeNanos: `${this.#clock.now()}000000`, scope: "local", type, action, id, attributes });
  }

  /**
   * Past events from `since` on ("0": none), then new ones, until `until` ("0": no end) or `signal`. Those of tasks,
   * which Docker does not know, come only where they are asked for.
   */
  async *read(
    since: string,
    until: string,
    tasks: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<DockerEvent> {
    const queue: DockerEvent[] = [];
    let wake = () => {};
    let overrun = false;
    const reader: Reader = {
      tasks,
      take(event) {
        if (queue.length >= READER_BOUND) overrun = true;
        else queue.push(event);
        wake();
      },
    };
    const end = BigInt(until);
    const stop = new AbortController();
    const onAbort = () => {
      stop.abort();
      wake();
    };
    signal.addEventListener("abort", onAbort);
    if (since !== "0") queue.push(...this.#since(BigInt(since), tasks));
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

  #since(since: bigint, tasks: boolean): DockerEvent[] {
    const past = [...this.#past.from(since), ...(tasks ? this.#pastTasks.from(since) : [])];
    // The engine and the managers are heard of one after the other: what happened in between may come later.
    return past.sort((a, b) => Number(BigInt(a.timeNanos) - BigInt(b.timeNanos)));
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
