import { type Clock, CreelError, type Logger, type Millis, messageOf } from "@creel/shared";
import { type Action, Entry } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { Committed, LogIndex, RaftServer, RaftStatus } from "node-raft-server";
import { Gate, within } from "./limits.ts";
import { type ChangeSet, type Refusal, type Store, type StoreView, snapshotSlices } from "./store/mod.ts";

const MAX_IN_FLIGHT = 6;
const MAX_QUEUED = 1_000;
/** A proposal that has no majority by then is given up on; it may still come to pass. */
const PROPOSE_TIMEOUT_MS = 20_000;
const READ_TIMEOUT_MS = 10_000;
const BARRIER_RETRY_MS = 100;
/** A long log is read in turns with everything else: heartbeats go on. */
const MAX_TURN_MS = 20;
const DEFAULT_SNAPSHOT_INTERVAL = 10_000;
/** Refusals are kept for the proposer, who asks as soon as the entry is applied. */
const KEPT_REFUSALS = 1_024;

/** What came of a proposal: where it stands in the log, and which of its actions were not carried out. */
export interface Proposed {
  index: LogIndex;
  refusals: readonly Refusal[];
}

export interface ReplicaOptions {
  raft: RaftServer;
  store: Store;
  clock: Clock;
  logger: Logger;
  /** Told of each proposal that was carried out: how many ms from its turn to its being applied here. */
  onProposed?: ((ms: Millis) => void) | undefined;
}

type ChangeListener = (changes: ChangeSet, view: StoreView) => void;
type LeadershipListener = (leading: boolean) => void;

/**
 * The store behind the log: applies what a majority has, in order, and proposes what is to change. `leading` is true
 * only once everything that earlier leaders were promised has been applied here.
 */
export class Replica {
  readonly #raft: RaftServer;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onProposed: (ms: Millis) => void;
  readonly #gate = new Gate(MAX_IN_FLIGHT, MAX_QUEUED);
  readonly #refusals = new Map<LogIndex, readonly Refusal[]>();
  readonly #changeListeners = new Set<ChangeListener>();
  readonly #leadershipListeners = new Set<LeadershipListener>();
  #waiters: { index: LogIndex; done: () => void }[] = [];
  #applied: LogIndex = 0;
  #snapshotAt: LogIndex = 0;
  #snapshotting = false;
  #leadingTerm = 0;
  #acquiring = 0;
  #stopped = false;
  #unsubscribe: () => void = () => {};
  #consumer: Promise<void> = Promise.resolve();

  constructor(options: ReplicaOptions) {
    this.#raft = options.raft;
    this.#store = options.store;
    this.#clock = options.clock;
    this.#log = options.logger;
    this.#onProposed = options.onProposed ?? (() => {});
  }

  /** Begins to apply. `onFailure` is called if that can go on no longer (an entry that cannot be read). */
  start(onFailure: (error: unknown) => void): void {
    this.#unsubscribe = this.#raft.onStatus((status) => this.#onStatus(status));
    this.#consumer = this.#consume().catch((error) => {
      if (!this.#stopped) onFailure(error);
    });
    this.#onStatus(this.#raft.status());
  }

  /** The state as applied here so far. */
  view(): StoreView {
    return this.#store.view();
  }

  /** A copy of the store as applied here so far, to try things in. */
  fork(): Store {
    return this.#store.fork();
  }

  /** A state that holds every change acknowledged anywhere before the call. */
  async linearizableView(): Promise<StoreView> {
    await within(this.#clock, READ_TIMEOUT_MS, "the cluster's leader", this.#raft.readIndex());
    return this.view();
  }

  /** Whether this manager leads, and knows all that earlier leaders did. */
  get leading(): boolean {
    return this.#leadingTerm !== 0;
  }

  /** host:port of the leader; empty while there is none. */
  leaderAddr(): string {
    const { leader, peers } = this.#raft.status();
    return peers.find((peer) => peer.id === leader)?.address ?? "";
  }

  /** Throws `not_leader` (or `no_leader`) unless this manager leads. */
  requireLeader(): void {
    if (this.leading) return;
    // A leader that does not know all yet names nobody: it will lead in a moment.
    const leader = this.#raft.status().role === "leader" ? "" : this.leaderAddr();
    throw leader === "" ? new CreelError("no_leader") : new CreelError("not_leader", { leader });
  }

  status(): RaftStatus {
    return this.#raft.status();
  }

  /** Proposes one entry and resolves once it is applied here. */
  propose(actions: Action[]): Promise<Proposed> {
    return this.#gate.run(async () => {
      const begun = this.#clock.now();
      const entry = Entry.encode({ time: begun, actions }).finish();
      const index = await within(
        this.#clock,
        PROPOSE_TIMEOUT_MS,
        "a majority of the managers",
        this.#raft.propose(entry),
      );
      await this.waitApplied(index);
      this.#onProposed(this.#clock.now() - begun);
      return { index, refusals: this.#refusals.get(index) ?? [] };
    });
  }

  /** Resolves once this store has come as far as `index`. */
  async waitApplied(index: LogIndex, timeoutMs: Millis = PROPOSE_TIMEOUT_MS): Promise<void> {
    if (this.#applied >= index) return;
    if (this.#stopped) throw new CreelError("stopped", { what: "this manager" });
    const waiter = { index, done: () => {} };
    const reached = new Promise<void>((resolve) => {
      waiter.done = resolve;
    });
    this.#waiters.push(waiter);
    try {
      await within(this.#clock, timeoutMs, "this manager's store", reached);
    } finally {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
    }
    if (this.#applied < index) throw new CreelError("stopped", { what: "this manager" });
  }

  /** Called after each applied entry. */
  onChange(listener: ChangeListener): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  /** Called when `leading` changes. */
  onLeadership(listener: LeadershipListener): () => void {
    this.#leadershipListeners.add(listener);
    return () => this.#leadershipListeners.delete(listener);
  }

  /** No longer leads, applies or answers; the Raft server is its owner's to stop. */
  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#setLeading(0);
    for (const waiter of this.#waiters) waiter.done();
    this.#waiters = [];
  }

  /** Resolves when the last entry has been applied after the Raft server's end. */
  finished(): Promise<void> {
    return this.#consumer;
  }

  async #consume(): Promise<void> {
    let turn = this.#clock.now();
    for await (const committed of this.#raft.committed) {
      if (this.#stopped) return;
      this.#take(committed);
      if (this.#clock.now() - turn < MAX_TURN_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      turn = this.#clock.now();
    }
  }

  #take(committed: Committed): void {
    const { index } = committed;
    let changes: ChangeSet | undefined;
    if (committed.kind === "entry") {
      changes = this.#store.apply(Entry.decode(committed.data), index);
      if (changes.refusals.length > 0) this.#keepRefusals(index, changes.refusals);
    } else if (committed.kind === "snapshot") {
      changes = this.#store.restore(committed.data);
      this.#snapshotAt = index;
    }
    this.#applied = index;
    this.#raft.applied(index);
    if (changes) this.#publish(changes);
    this.#wake();
    this.#maybeSnapshot();
  }

  #publish(changes: ChangeSet): void {
    const view = this.view();
    for (const listener of this.#changeListeners) {
      try {
        listener(changes, view);
      } catch (error) {
        this.#log.error({ error: messageOf(error), index: changes.index }, "a listener of the store failed");
      }
    }
  }

  #keepRefusals(index: LogIndex, refusals: readonly Refusal[]): void {
    this.#refusals.set(index, refusals);
    if (this.#refusals.size > KEPT_REFUSALS) this.#refusals.delete(this.#refusals.keys().next().value!);
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const due = this.#waiters.filter((waiter) => waiter.index <= this.#applied);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => waiter.index > this.#applied);
    for (const waiter of due) waiter.done();
  }

  #maybeSnapshot(): void {
    const { snapshotInterval, oldSnapshots } = this.view().cluster().spec ?? {};
    const interval = snapshotInterval || DEFAULT_SNAPSHOT_INTERVAL;
    if (this.#snapshotting || this.#applied - this.#snapshotAt < interval) return;
    this.#snapshotting = true;
    const index = this.#applied;
    const view = this.view();
    this.#encode(view)
      .then((data) => this.#raft.snapshot(index, data, oldSnapshots))
      .then(
        () => {
          this.#snapshotAt = index;
        },
        (error) => this.#log.error({ error: messageOf(error), index }, "no snapshot could be taken"),
      )
      .finally(() => {
        this.#snapshotting = false;
      });
  }

  /** Encodes in slices of a few milliseconds, so that heartbeats and reads go on in between. */
  async #encode(view: StoreView): Promise<Uint8Array> {
    const slices: Uint8Array[] = [];
    for (const slice of snapshotSlices(view)) {
      slices.push(slice);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return Buffer.concat(slices);
  }

  #onStatus(status: RaftStatus): void {
    if (this.#stopped) return;
    if (this.#leadingTerm === status.term && status.role === "leader") return;
    if (this.#acquiring === status.term && status.role === "leader") return;
    this.#setLeading(0);
    if (status.role !== "leader") return;
    this.#acquiring = status.term;
    void this.#acquire(status.term);
  }

  /** A new leader acts only when its store holds everything up to its own first commit. */
  async #acquire(term: number): Promise<void> {
    const leads = () => {
      const now = this.#raft.status();
      return !this.#stopped && this.#acquiring === term && now.role === "leader" && now.term === term;
    };
    while (leads()) {
      try {
        await this.linearizableView();
        if (leads()) this.#setLeading(term);
        break;
      } catch (error) {
        this.#log.debug({ error: messageOf(error), term }, "not sure of leading yet");
        await new Promise<void>((resolve) => this.#clock.after(BARRIER_RETRY_MS, resolve));
      }
    }
    if (this.#acquiring === term) this.#acquiring = 0;
  }

  #setLeading(term: number): void {
    const was = this.leading;
    this.#leadingTerm = term;
    if (was === this.leading) return;
    this.#log.info({ term }, this.leading ? "leads the cluster" : "leads no longer");
    for (const listener of this.#leadershipListeners) {
      try {
        listener(this.leading);
      } catch (error) {
        this.#log.error({ error: messageOf(error) }, "a listener of the leadership failed");
      }
    }
  }
}
