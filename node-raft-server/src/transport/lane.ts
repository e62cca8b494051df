import type { Clock, Random, Timer } from "@creel/shared";
import type { RaftAck, RaftClient, RaftFrame } from "@creel/shared/gen/cluster/v1/raft.ts";
import { type ClientDuplexStream, Metadata } from "@grpc/grpc-js";

/** A message in one frame, at most; longer ones go in parts. */
const PART = 512 << 10;
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 500;
/**
 * For the other side to answer a new stream: a connection begun while it was cut off takes far longer. It grows from
 * attempt to attempt, for machines that are merely slow.
 */
const FIRST_PATIENCE_MS = 2_000;
const MAX_PATIENCE_MS = 6_000;

export interface LaneOptions {
  from: number;
  to: number;
  address: string;
  clock: Clock;
  random: Random;
  client: () => RaftClient;
  /** The next stream is to have a client of its own. */
  renew: () => void;
  maxMessages: number;
  maxBytes: number;
  /** Each message of this lane is acknowledged: `lost` and `arrived` are told of each. */
  acknowledge: boolean;
  lost: () => void;
  arrived: () => void;
}

interface Outgoing {
  data: Uint8Array;
  offset: number;
  number: number;
}

type Exchange = ClientDuplexStream<RaftFrame, RaftAck>;

/** One stream of messages to one node: bounded, opened when needed, dropped whole when it breaks. */
export class Lane {
  readonly #options: LaneOptions;
  #stream: Exchange | undefined;
  #queue: Outgoing[] = [];
  #bytes = 0;
  #awaiting = new Set<number>();
  #number = 0;
  #greeted = false;
  #blocked = false;
  #backoff = 0;
  #pause: Timer | undefined;
  #patience: Timer | undefined;
  #patienceMs = FIRST_PATIENCE_MS;
  #closed = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  send(data: Uint8Array): void {
    const { maxMessages, maxBytes, lost } = this.#options;
    const full =
      this.#queue.length >= maxMessages || (this.#bytes > 0 && this.#bytes + data.length > maxBytes);
    if (this.#closed || this.#pause || full) {
      lost();
      return;
    }
    this.#stream ??= this.#open();
    this.#number += 1;
    this.#queue.push({ data, offset: 0, number: this.#number });
    this.#bytes += data.length;
    if (this.#options.acknowledge) this.#awaiting.add(this.#number);
    this.#pump();
  }

  /** The other side is there: a pause after a failure ends now. */
  wake(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#backoff = 0;
  }

  get paused(): boolean {
    return this.#pause !== undefined;
  }

  close(): void {
    this.#closed = true;
    this.#pause?.cancel();
    const stream = this.#stream;
    this.#drop();
    stream?.cancel();
  }

  #open(): Exchange {
    const stream = this.#options.client().exchange(new Metadata());
    const broken = () => {
      if (this.#stream === stream) this.#broken();
    };
    this.#patience = this.#options.clock.after(this.#patienceMs, () => {
      this.#patienceMs = Math.min(MAX_PATIENCE_MS, this.#patienceMs * 2);
      this.#options.renew();
      broken();
      stream.cancel();
    });
    stream.on("metadata", () => {
      if (this.#stream === stream) this.#patience?.cancel();
      this.#patienceMs = FIRST_PATIENCE_MS;
      this.#backoff = 0;
    });
    stream.on("data", (ack: RaftAck) => {
      if (!this.#awaiting.delete(ack.message)) return;
      if (ack.taken) this.#options.arrived();
      else this.#options.lost();
    });
    stream.on("drain", () => {
      this.#blocked = false;
      this.#pump();
    });
    stream.on("error", broken);
    stream.on("end", broken);
    return stream;
  }

  #pump(): void {
    while (!this.#blocked && this.#stream && this.#queue.length > 0) {
      const message = this.#queue[0]!;
      const end = Math.min(message.offset + PART, message.data.length);
      const more = end < message.data.length;
      const fits = this.#stream.write({
        from: this.#options.from,
        to: this.#options.to,
        address: this.#greeted ? "" : this.#options.address,
        message: message.number,
        data: message.data.subarray(message.offset, end) as Buffer,
        more,
        acknowledge: this.#options.acknowledge,
      });
      this.#greeted = true;
      message.offset = end;
      if (!more) {
        this.#queue.shift();
        this.#bytes -= message.data.length;
      }
      this.#blocked = !fits;
    }
  }

  #broken(): void {
    const lost = this.#options.acknowledge ? this.#awaiting.size : 1;
    this.#drop();
    this.#backoff = Math.min(MAX_BACKOFF_MS, this.#backoff === 0 ? FIRST_BACKOFF_MS : this.#backoff * 2);
    const jittered = this.#backoff * (0.5 + this.#options.random.next());
    this.#pause = this.#options.clock.after(jittered, () => {
      this.#pause = undefined;
    });
    for (let i = 0; i < lost; i += 1) this.#options.lost();
  }

  #drop(): void {
    this.#patience?.cancel();
    this.#stream = undefined;
    this.#queue = [];
    this.#bytes = 0;
    this.#awaiting = new Set();
    this.#greeted = false;
    this.#blocked = false;
  }
}
