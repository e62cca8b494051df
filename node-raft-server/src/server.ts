import { type Clock, CreelError, sleep, type Timer } from "@creel/shared";
import { errorOf, type NativeEvent, type NativeRaft, type NativeStatus, openNode } from "./native.ts";
import { Reads } from "./reads.ts";
import { Requests } from "./requests.ts";
import { CommittedStream } from "./stream.ts";
import type {
  Committed,
  LogIndex,
  Peer,
  PeerProgress,
  RaftOptions,
  RaftServer,
  RaftStatus,
  Transport,
} from "./types.ts";

const MAX_PROPOSALS = 4096;
const MAX_PROPOSAL_BYTES = 128 << 20;
/** A learner this close to the leader's commit is as good as caught up: the rest travels while it is voted in. */
const CLOSE_ENOUGH = 64;
const CATCH_UP_POLL_MS = 50;
/** Linearizable reads give up after so many election timeouts. */
const READ_TIMEOUTS = 5;

const NOBODY = { voters: [], learners: [], peers: [] };

/** Opens a Raft node; resolves when its log is read. */
export async function openRaft(options: RaftOptions): Promise<RaftServer> {
  const server = new Server(options);
  await server.open();
  return server;
}

class Server implements RaftServer {
  readonly committed: AsyncIterable<Committed>;
  readonly closed: Promise<CreelError | undefined>;
  readonly #options: RaftOptions;
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #electionTicks: number;
  readonly #stream: CommittedStream;
  readonly #proposals = new Requests(MAX_PROPOSALS, MAX_PROPOSAL_BYTES);
  readonly #reads: Reads;
  readonly #listeners = new Set<(status: RaftStatus) => void>();
  readonly #transport: Transport;
  #native: NativeRaft | undefined;
  #status: Omit<RaftStatus, "applied"> | undefined;
  #opened: () => void = () => {};
  #close: (error?: CreelError) => void = () => {};
  #error: CreelError | undefined;
  #ticker: Timer | undefined;
  #stopping = false;

  constructor(options: RaftOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#tickMs = options.tickMs ?? 100;
    this.#electionTicks = options.electionTicks ?? 10;
    this.#stream = new CommittedStream((bytes) => this.#native?.consumed(bytes));
    this.committed = this.#stream;
    this.closed = new Promise((resolve) => {
      this.#close = resolve;
    });
    this.#reads = new Reads({
      clock: this.#clock,
      ask: (id) => this.#native?.readIndex(id),
      nextId: () => this.#proposals.id(),
      whenHandled: (index, done) => this.#stream.whenHandled(index, done),
      leader: () => this.#status?.leader ?? 0,
      retryMs: Math.max(this.#tickMs, this.#electionMs / 5),
      timeoutMs: this.#electionMs * READ_TIMEOUTS,
    });
    this.#transport = options.transport({
      deliver: (from, message) => this.receive(from, message),
      unreachable: (id) => this.#native?.unreachable(id),
      snapshotSent: (id, arrived) => this.#native?.snapshotSent(id, arrived),
    });
  }

  async open(): Promise<void> {
    const o = this.#options;
    const ready = new Promise<void>((resolve) => {
      this.#opened = resolve;
    });
    try {
      this.#native = await (o.open ?? openNode)(
        {
          dir: o.dir,
          id: o.id,
          electionTicks: this.#electionTicks,
          heartbeatTicks: o.heartbeatTicks ?? 1,
          maxEntryBytes: o.maxEntryBytes ?? 8 << 20,
          logTail: o.logTail ?? 1000,
          windowBytes: o.windowBytes ?? 64 << 20,
          minFreeBytes: o.minFreeBytes ?? 32 << 20,
          ...(o.bootstrap && { bootstrap: o.bootstrap }),
          ...(o.join && { join: o.join }),
          ...(o.encryptionKey && { key: o.encryptionKey }),
          ...(o.soleAddress !== undefined && { soleAddress: o.soleAddress }),
          ...(o.electionSeed !== undefined && { electionSeed: o.electionSeed }),
        },
        (events) => {
          for (const event of events) this.#take(event);
        },
      );
    } catch (error) {
      this.#transport.close();
      throw error;
    }
    await ready;
    this.#tick();
  }

  async propose(entry: Uint8Array): Promise<LogIndex> {
    const index = await this.#proposals.add(entry.length, (id) => this.#running().propose(id, entry));
    return index;
  }

  readIndex(): Promise<LogIndex> {
    if (this.#gone) return Promise.reject(this.#gone);
    return this.#reads.read();
  }

  applied(index: LogIndex): void {
    this.#stream.applied(index);
  }

  async snapshot(index: LogIndex, data: Uint8Array, keepOld = 0): Promise<void> {
    await this.#ask((native, id) => native.snapshot(id, index, data, keepOld));
  }

  async addLearner(peer: Peer): Promise<void> {
    await this.#ask((native, id) => native.change(id, "learner", peer));
  }

  async promote(id: number): Promise<void> {
    this.#lead();
    const peer = this.status().peers.find((p) => p.id === id);
    if (!peer) throw new CreelError("invalid_parameter", { message: `raft node ${id} is no member` });
    if (this.status().voters.includes(id)) return;
    await this.#caughtUp(id);
    await this.#ask((native, request) => native.change(request, "voter", peer));
  }

  async remove(id: number): Promise<void> {
    this.#lead();
    const { voters, id: own } = this.status();
    if (id === own && voters.length > 1) {
      const next = this.#bestSuccessor();
      if (next === undefined) throw new CreelError("no_leader");
      await this.transferLeader(next);
      throw new CreelError("not_leader", { leader: next });
    }
    await this.#ask((native, request) => native.change(request, "remove", { id, address: "" }));
  }

  async updatePeer(peer: Peer): Promise<void> {
    const { voters, learners } = this.status();
    const kind = voters.includes(peer.id) ? "voter" : learners.includes(peer.id) ? "learner" : undefined;
    if (!kind) throw new CreelError("invalid_parameter", { message: `raft node ${peer.id} is no member` });
    await this.#ask((native, id) => native.change(id, kind, peer));
  }

  async transferLeader(to: number): Promise<void> {
    if (to === this.status().id && this.status().role === "leader") return;
    await this.#ask((native, id) => native.transferLeader(id, to));
    const ms = this.#electionMs * 2;
    const arrived = await this.#until(() => this.#status?.leader === to, ms);
    if (!arrived) throw new CreelError("timeout", { what: `raft node ${to}`, ms });
  }

  campaign(): void {
    this.#running().campaign();
  }

  status(): RaftStatus {
    return { ...this.#status!, applied: this.#stream.handled };
  }

  onStatus(listener: (status: RaftStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  receive(from: number, message: Uint8Array): boolean {
    return this.#native !== undefined && !this.#stopping && this.#native.receive(from, message);
  }

  async stop(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#ticker?.cancel();
      this.#native?.stop();
    }
    await this.closed;
  }

  get #electionMs(): number {
    return this.#tickMs * this.#electionTicks;
  }

  get #gone(): CreelError | undefined {
    return (
      this.#error ?? (this.#stopping ? new CreelError("stopped", { what: "the Raft server" }) : undefined)
    );
  }

  #running(): NativeRaft {
    if (this.#gone) throw this.#gone;
    return this.#native!;
  }

  #ask(question: (native: NativeRaft, id: number) => void): Promise<LogIndex> {
    return this.#proposals.add(0, (id) => question(this.#running(), id));
  }

  #lead(): void {
    const { role, leader } = this.status();
    if (role !== "leader") throw new CreelError("not_leader", { leader: leader || "unknown" });
  }

  #bestSuccessor(): number | undefined {
    const { id, voters, progress } = this.status();
    const others = progress.filter((p) => p.id !== id && p.active && voters.includes(p.id));
    return others.sort((a, b) => b.matched - a.matched)[0]?.id;
  }

  async #caughtUp(id: number): Promise<void> {
    const ms = this.#options.promoteTimeoutMs ?? 30_000;
    const progress = (): PeerProgress | undefined => this.#status?.progress.find((p) => p.id === id);
    const close = () => {
      this.#lead();
      const found = progress();
      if (!found?.active || found.snapshot) return false;
      return found.matched > 0 && found.matched + CLOSE_ENOUGH >= this.#status!.commit;
    };
    if (!(await this.#until(close, ms))) throw new CreelError("timeout", { what: `raft node ${id}`, ms });
  }

  async #until(reached: () => boolean, ms: number): Promise<boolean> {
    const deadline = this.#clock.now() + ms;
    while (!reached()) {
      if (this.#gone) throw this.#gone;
      if (this.#clock.now() >= deadline) return false;
      await sleep(this.#clock, Math.min(CATCH_UP_POLL_MS, this.#tickMs));
    }
    return true;
  }

  #tick(): void {
    this.#ticker = this.#clock.after(this.#tickMs, () => {
      if (this.#stopping || this.#error) return;
      this.#native!.tick();
      this.#tick();
    });
  }

  #take(event: NativeEvent): void {
    switch (event.kind) {
      case "send":
        this.#transport.send({ id: event.to, address: event.address }, event.data, event.snapshot);
        break;
      case "entry":
      case "snapshot":
      case "membership":
      case "reached":
        this.#stream.push(event);
        break;
      case "done":
        // Entries are answered when the consumer is done with them; snapshots and transfers are behind it already.
        this.#stream.whenHandled(event.index, () => this.#proposals.resolve(event.id, event.index));
        break;
      case "read":
        this.#reads.answered(event.id, event.index);
        break;
      case "failed":
        this.#proposals.reject(event.id, errorOf(event.code, event.text));
        this.#reads.refused(event.id, errorOf(event.code, event.text));
        break;
      case "status":
        this.#changed(event.status);
        break;
      case "fatal":
        this.#end(errorOf(event.code, event.text));
        break;
      case "stopped":
        this.#end();
        this.#transport.close();
        this.#native?.release();
        this.#close(this.#error);
        break;
    }
  }

  #changed(news: NativeStatus): void {
    const before = this.#status;
    const status = { ...NOBODY, ...before, ...news };
    this.#status = status;
    this.#opened();
    const same =
      news.voters === undefined &&
      before?.role === status.role &&
      before.leader === status.leader &&
      before.term === status.term &&
      before.diskFull === status.diskFull &&
      before.removed === status.removed;
    if (same) return;
    for (const listener of [...this.#listeners]) listener(this.status());
  }

  /** Nothing is answered any more. */
  #end(error?: CreelError): void {
    this.#error ??= error;
    if (this.#status && this.#error) this.#status = { ...this.#status, role: "follower", leader: 0 };
    const reason = this.#gone ?? new CreelError("stopped", { what: "the Raft server" });
    this.#ticker?.cancel();
    this.#proposals.rejectAll(reason);
    this.#reads.rejectAll(reason);
    this.#stream.end(this.#error);
    if (error && !this.#stopping) void this.stop();
    this.#opened();
  }
}
