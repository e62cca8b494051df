import {
  type Clock,
  isCreelError,
  type Logger,
  messageOf,
  type Random,
  sleep,
  type Timer,
} from "@creel/shared";
import type {
  Assignments,
  AttachmentRefusal,
  AttachmentWish,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { NodeDescription, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { DispatcherConnector, DispatcherStream } from "../ports.ts";
import type { Reporter } from "../reporter/reporter.ts";
import { Backoff } from "./backoff.ts";

const PROTOCOL = 1;
const STATUSES_PER_REPORT = 500;
const DEFAULT_HEARTBEAT = 5000;
/** For a manager to take the stream: a process that stands still takes connections, and says nothing. */
const FIRST_PATIENCE = 2000;
const MAX_PATIENCE = 10_000;
/** For the leader to have a majority's word that this node is there. */
const WELCOME_MS = 10_000;
/** Silent periods after which the leader is given up; it gives nodes three. */
const SILENT_PERIODS = 1.5;

/** For the leader to have taken a goodbye. */
const GOODBYE_MS = 2_000;

/** What a session needs of the rest of the worker. */
export interface SessionHandlers {
  describe(): Promise<{ description: NodeDescription; instance: string }>;
  /** Assignments come one after another: the next is asked for when the promise has resolved. */
  assign(assignments: Assignments): Promise<void>;
  managers(addrs: string[]): void;
  role(role: NodeRole): void;
  trust(roots: string): void;
  /** A manager has taken the session. */
  opened(): void;
  refusal(refusal: AttachmentRefusal): void;
}

export interface SessionOptions {
  managers: string[];
  connect: DispatcherConnector;
  dataPathAddr: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  reporter: Reporter;
  handlers: SessionHandlers;
}

/** Keeps one stream open to the leader: heartbeats and statuses up, assignments down. */
export class Session {
  readonly #options: SessionOptions;
  readonly #stop = new AbortController();
  #managers: string[];
  #leader: string | undefined;
  #stream: DispatcherStream | undefined;
  #welcomed = false;
  #patience = FIRST_PATIENCE;
  #done: Promise<void> | undefined;
  #flush: Timer | undefined;
  /** Number of the assignments that are to be acknowledged; 0: none. */
  #taken = 0;
  /** How often the node has become another. */
  #changes = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#managers = [...options.managers];
  }

  start(): void {
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#stream?.close();
    await this.#done;
  }

  /** Ends the present stream; the next is opened as soon as the engine describes the node. */
  drop(): void {
    this.#stream?.close();
  }

  /** Ends for good: the managers need not wait until they miss this node. */
  async leave(): Promise<void> {
    this.#stop.abort();
    const stream = this.#welcomed ? this.#stream : undefined;
    if (stream) {
      const ended = new Promise<void>((resolve) => stream.onEnd(() => resolve()));
      stream.send({ kind: { $case: "goodbye", value: {} } });
      await Promise.race([ended, sleep(this.#options.clock, GOODBYE_MS)]);
    }
    await this.stop();
  }

  /** Whether a manager has taken this node's session. */
  get connected(): boolean {
    return this.#welcomed;
  }

  /** There are statuses to send, or an acknowledgement; what comes within a few milliseconds goes together. */
  wake(): void {
    if (this.#flush !== undefined) return;
    this.#flush = this.#options.clock.after(2, () => {
      this.#flush = undefined;
      this.#sendReports();
    });
  }

  /** Tells what the node's containers have on the cluster's networks; without a session, nothing. */
  tellAttachments(attachments: AttachmentWish[]): void {
    if (this.#welcomed) this.#stream?.send({ kind: { $case: "attachments", value: { attachments } } });
  }

  /** Tells the managers what the node is now, where it is another than at the session's start. */
  describe(): void {
    this.#changes++;
    const stream = this.#stream;
    if (!this.#welcomed || !stream) return;
    this.#options.handlers.describe().then(
      ({ description }) => stream.send({ kind: { $case: "description", value: description } }),
      () => stream.close(),
    );
  }

  async #run(): Promise<void> {
    const { clock, random, logger } = this.#options;
    const backoff = new Backoff(100, 1000, random);
    // a machine that is back is found soon; asking costs nobody anything while it is not
    const unreachable = new Backoff(100, 250, random);
    let turn = Math.floor(random.next() * this.#managers.length);
    while (!this.#stop.signal.aborted) {
      const addr = this.#leader ?? this.#managers[turn++ % this.#managers.length]!;
      this.#leader = undefined;
      const { welcomed, error, leader } = await this.#session(addr).catch((e: unknown) => ({
        welcomed: false,
        error: e,
        leader: undefined,
      }));
      if (this.#stop.signal.aborted) return;
      const away = isCreelError(error, "remote_unreachable") && !welcomed;
      if (welcomed) backoff.reset();
      if (!away) unreachable.reset();
      if (leader !== undefined && leader !== addr) {
        this.#leader = leader;
        await sleep(clock, 20, this.#stop.signal);
        continue;
      }
      const wait = (away ? unreachable : backoff).next();
      logger.info(
        { addr, err: error && messageOf(error), wait: Math.round(wait) },
        "dispatcher session ended",
      );
      await sleep(clock, wait, this.#stop.signal);
    }
  }

  async #session(addr: string): Promise<{ welcomed: boolean; error: unknown; leader: string | undefined }> {
    const { clock, random, connect, dataPathAddr, reporter, handlers, logger } = this.#options;
    const changes = this.#changes;
    const { description, instance } = await handlers.describe();
    if (this.#stop.signal.aborted) return { welcomed: false, error: undefined, leader: undefined };
    const stream = await connect(addr);
    if (this.#stop.signal.aborted) stream.close();
    this.#stream = stream;
    this.#taken = 0;
    let period = DEFAULT_HEARTBEAT;
    let heartbeat: Timer | undefined;
    let watchdog: Timer | undefined;
    let work: Promise<void> = Promise.resolve();

    const beat = () => {
      stream.send({ kind: { $case: "heartbeat", value: {} } });
      heartbeat = clock.after(period * (0.8 + random.next() * 0.2), beat);
    };
    const watch = (ms: number) => {
      watchdog?.cancel();
      watchdog = clock.after(ms, () => stream.close());
    };
    watch(this.#patience);
    this.#patience = Math.min(MAX_PATIENCE, this.#patience * 2);
    stream.onTaken(() => {
      this.#patience = FIRST_PATIENCE;
      if (!this.#welcomed) watch(WELCOME_MS);
    });

    const ended = new Promise<{ error: Error | undefined; leader: string | undefined }>((resolve) => {
      stream.onEnd((error, leader) => resolve({ error, leader }));
    });
    stream.onMessage((message) => {
      const kind = message.kind;
      if (this.#welcomed) watch(SILENT_PERIODS * period);
      switch (kind?.$case) {
        case "welcome":
          period = kind.value.heartbeatPeriod || DEFAULT_HEARTBEAT;
          watch(SILENT_PERIODS * period);
          heartbeat?.cancel();
          beat();
          if (this.#welcomed) break;
          this.#welcomed = true;
          logger.info({ addr }, "dispatcher session open");
          reporter.resend();
          handlers.opened();
          this.wake();
          if (this.#changes !== changes) this.describe();
          break;
        case "assignments": {
          const assignments = kind.value;
          work = work
            .then(() => handlers.assign(assignments))
            .then(() => {
              this.#taken = assignments.sequence;
              this.wake();
            })
            .catch((error: unknown) => {
              logger.warn({ err: messageOf(error) }, "assignments not taken; the session starts again");
              stream.close();
            });
          break;
        }
        case "managers":
          if (kind.value.addrs.length > 0) {
            this.#managers = kind.value.addrs;
            handlers.managers(kind.value.addrs);
          }
          break;
        case "reportAck":
          reporter.acknowledged(kind.value.sequence);
          break;
        case "role":
          handlers.role(kind.value);
          break;
        case "refusal":
          handlers.refusal(kind.value);
          break;
        case "trust":
          handlers.trust(Buffer.from(kind.value).toString());
          break;
      }
    });
    stream.send({
      kind: {
        $case: "hello",
        value: { protocol: PROTOCOL, description, dataPathAddr, engineInstance: instance },
      },
    });

    const { error, leader } = await ended;
    const welcomed = this.#welcomed;
    this.#welcomed = false;
    this.#stream = undefined;
    heartbeat?.cancel();
    watchdog?.cancel();
    await work;
    return { welcomed, error, leader };
  }

  /** The tasks' first statuses mostly come with their assignments' acknowledgement: one message says both. */
  #sendReports(): void {
    const stream = this.#stream;
    if (!this.#welcomed || stream === undefined) return;
    const sequence = this.#taken;
    this.#taken = 0;
    let report = this.#options.reporter.next(STATUSES_PER_REPORT);
    if (report === undefined && sequence !== 0) stream.send({ kind: { $case: "ack", value: { sequence } } });
    for (let taken = sequence; report !== undefined; taken = 0) {
      stream.send({ kind: { $case: "report", value: { ...report, taken } } });
      report = this.#options.reporter.next(STATUSES_PER_REPORT);
    }
  }
}
