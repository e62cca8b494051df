import { type Clock, CreelError, type Random, systemRandom, toGrpc } from "@creel/shared";
import {
  type RaftAck,
  type RaftClient,
  type RaftFrame,
  RaftService,
  type RaftServer as RaftServiceImplementation,
} from "@creel/shared/gen/cluster/v1/raft.ts";
import { Metadata, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Inbound, Peer, Transport } from "../types.ts";
import { Assembly } from "./incoming.ts";
import { Lane } from "./lane.ts";

const MAX_MESSAGES = 4096;
const MAX_BYTES = 64 << 20;
const MAX_MESSAGE_BYTES = 1 << 30;

/** A call of the Raft service, as the server sees it. */
export type RaftCall = ServerDuplexStream<RaftFrame, RaftAck>;

/** What a transport over gRPC is made of. */
export interface GrpcTransportOptions {
  /** This node's Raft id. */
  id: number;
  /** Where this node listens (host:port), told to others. */
  address: string;
  clock: Clock;
  /** Opens a client of that peer with the caller's credentials; the transport closes it. */
  open: (peer: Peer) => RaftClient;
  /** Throws if the caller's certificate is not that of the node `from`. */
  authorize?: (call: RaftCall, from: number) => void;
  random?: Random;
}

/** Both sides of the transport: the service to serve, and what `openRaft` takes. */
export interface GrpcTransport {
  service: typeof RaftService;
  implementation: RaftServiceImplementation;
  transport: (inbound: Inbound) => Transport;
}

interface Link {
  address: string;
  client: RaftClient | undefined;
  messages: Lane;
  /** Snapshots have a stream of their own, so that heartbeats do not stand behind one. */
  snapshots: Lane;
}

/** Raft's messages over gRPC: one client for each other node, bounded queues, loss allowed. */
export function grpcTransport(options: GrpcTransportOptions): GrpcTransport {
  const transport = new Grpc(options);
  return {
    service: RaftService,
    implementation: { exchange: (call) => transport.serve(call) },
    transport: (inbound) => {
      transport.inbound = inbound;
      return transport;
    },
  };
}

class Grpc implements Transport {
  inbound: Inbound | undefined;
  readonly #options: GrpcTransportOptions;
  readonly #links = new Map<number, Link>();
  readonly #calls = new Set<RaftCall>();
  /** Where nodes said that they listen: newer than what the log says of one that has moved, or has just come. */
  readonly #heard = new Map<number, string>();
  #closed = false;

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
  }

  send(to: Peer, message: Uint8Array, snapshot: boolean): void {
    const address = this.#heard.get(to.id) || to.address;
    if (this.#closed || !address) {
      if (snapshot) this.inbound?.snapshotSent(to.id, false);
      return;
    }
    let link = this.#links.get(to.id);
    if (link && link.address !== address) {
      this.#drop(to.id, link);
      link = undefined;
    }
    link ??= this.#link({ id: to.id, address });
    if (snapshot) link.snapshots.send(message);
    else link.messages.send(message);
  }

  /** A stream of another node's messages. */
  serve(call: RaftCall): void {
    const assembly = new Assembly(MAX_MESSAGE_BYTES);
    let from = 0;
    if (this.#closed || !this.inbound) {
      call.destroy(statusOf(new CreelError("stopped", { what: "the Raft server" })));
      return;
    }
    this.#calls.add(call);
    // The caller learns at once that it got through.
    call.sendMetadata(new Metadata());
    call.on("data", (frame: RaftFrame) => {
      try {
        if (from === 0) from = this.#greet(call, frame);
        if (frame.from !== from)
          throw new CreelError("permission_denied", { role: "manager", method: "Raft" });
        const message = assembly.add(frame);
        if (!message) return;
        const taken = this.inbound!.deliver(from, message);
        if (frame.acknowledge) call.write({ message: frame.message, taken });
      } catch (error) {
        this.#calls.delete(call);
        call.destroy(statusOf(error));
      }
    });
    const gone = () => this.#calls.delete(call);
    call.on("end", () => {
      gone();
      call.end();
    });
    call.on("error", gone);
    call.on("close", gone);
    call.on("cancelled", gone);
  }

  close(): void {
    this.#closed = true;
    this.inbound = undefined;
    for (const [id, link] of this.#links) this.#drop(id, link);
    for (const call of this.#calls)
      call.destroy(statusOf(new CreelError("stopped", { what: "the Raft server" })));
    this.#calls.clear();
  }

  /** Checks the first frame of a stream. Its sender is up: what waits to reach it again need not wait. */
  #greet(call: RaftCall, frame: RaftFrame): number {
    if (frame.to !== this.#options.id) {
      throw new CreelError("invalid_parameter", {
        message: `this is raft node ${this.#options.id}, not ${frame.to}`,
      });
    }
    this.#options.authorize?.(call, frame.from);
    if (frame.address) this.#heard.set(frame.from, frame.address);
    const link = this.#links.get(frame.from);
    if (link?.messages.paused) {
      renew(link);
      link.messages.wake();
      link.snapshots.wake();
    }
    return frame.from;
  }

  #link(peer: Peer): Link {
    const client = () => {
      link.client ??= this.#options.open(peer);
      return link.client;
    };
    const common = {
      from: this.#options.id,
      to: peer.id,
      address: this.#options.address,
      clock: this.#options.clock,
      random: this.#options.random ?? systemRandom,
      client,
      renew: () => renew(link),
    };
    const link: Link = {
      address: peer.address,
      client: undefined,
      messages: new Lane({
        ...common,
        maxMessages: MAX_MESSAGES,
        maxBytes: MAX_BYTES,
        acknowledge: false,
        lost: () => this.inbound?.unreachable(peer.id),
        arrived: () => {},
      }),
      snapshots: new Lane({
        ...common,
        maxMessages: 1,
        maxBytes: MAX_MESSAGE_BYTES,
        acknowledge: true,
        lost: () => this.inbound?.snapshotSent(peer.id, false),
        arrived: () => this.inbound?.snapshotSent(peer.id, true),
      }),
    };
    this.#links.set(peer.id, link);
    return link;
  }

  #drop(id: number, link: Link): void {
    this.#links.delete(id);
    link.messages.close();
    link.snapshots.close();
    link.client?.close();
  }
}

/** A new channel next time, because an old one keeps its own pause between attempts. */
function renew(link: Link): void {
  link.client?.close();
  link.client = undefined;
}

function statusOf(error: unknown): Error {
  return Object.assign(new Error(), toGrpc(error));
}
