import type { Clock, CreelError } from "@creel/shared";
import type { NodeOpener } from "./native.ts";

/** An index of the log; a safe integer. */
export type LogIndex = number;

/** A node of the group: its Raft id (never 0, a safe integer) and where it listens (host:port). */
export interface Peer {
  id: number;
  address: string;
}

/** One piece of the committed stream, in the order of the log. */
export type Committed =
  | { kind: "entry"; index: LogIndex; term: number; data: Uint8Array }
  | { kind: "membership"; index: LogIndex; voters: number[]; learners: number[]; peers: Peer[] }
  /** Replaces the state machine's state. */
  | { kind: "snapshot"; index: LogIndex; term: number; data: Uint8Array };

/** How far the leader knows another node to be. */
export interface PeerProgress {
  id: number;
  matched: LogIndex;
  /** Whether it was heard of in the last election timeout. */
  active: boolean;
  /** Whether it is being sent a snapshot. */
  snapshot: boolean;
}

/** What a server knows of its group at the moment; how far the log and the others are, as of the last tick. */
export interface RaftStatus {
  id: number;
  role: "leader" | "follower" | "candidate" | "learner";
  /** 0 while there is none. */
  leader: number;
  term: number;
  commit: LogIndex;
  /** What the consumer has applied. */
  applied: LogIndex;
  firstIndex: LogIndex;
  lastIndex: LogIndex;
  snapshotIndex: LogIndex;
  voters: number[];
  learners: number[];
  peers: Peer[];
  /** Of a leader only; empty elsewhere. */
  progress: PeerProgress[];
  /** Nothing is proposed here until there is room again. */
  diskFull: boolean;
  /** This node was taken out of the group. */
  removed: boolean;
}

/** A node of a Raft group. Everything rejects with errors of the registry. */
export interface RaftServer {
  /**
   * Replicates an entry. Resolves with its index once it is committed and the consumer of `committed` is done with it
   * (it asked for the next piece, or called `applied`). Rejects: `not_leader`, `proposal_dropped` (it may or may not
   * have been taken), `queue_full`, `too_large`, `disk_full`, `stopped`.
   */
  propose(entry: Uint8Array): Promise<LogIndex>;
  /** Resolves once the local consumer has everything that was committed when this was called; works on followers. */
  readIndex(): Promise<LogIndex>;
  /**
   * What is committed: the newest snapshot, if there is one, then what follows it; after a restart too. One consumer;
   * it is never waited for beyond a window of bytes, what it does not take stays in the log.
   */
  readonly committed: AsyncIterable<Committed>;
  /** The consumer has applied everything up to `index`; not needed for a consumer that applies before it asks for more. */
  applied(index: LogIndex): void;
  /**
   * Persists the state machine's state at `index`, which was handed out, and compacts the log, but for a tail. Of the
   * snapshots before it `keepOld` (default 0) stay on the disk.
   */
  snapshot(index: LogIndex, data: Uint8Array, keepOld?: number): Promise<void>;
  /** Takes a node in that receives the log but has no vote. */
  addLearner(peer: Peer): Promise<void>;
  /** Gives a learner its vote, once it has caught up; rejects with `timeout` if it does not. */
  promote(id: number): Promise<void>;
  /** Takes a node out. A leader that removes itself hands the lead over and rejects with `not_leader`: ask there. */
  remove(id: number): Promise<void>;
  /** Tells the group a member's new address. */
  updatePeer(peer: Peer): Promise<void>;
  /** Hands the lead to a voter; resolves when it leads. */
  transferLeader(to: number): Promise<void>;
  /** Stands for election at once, without waiting for the timeout. */
  campaign(): void;
  status(): RaftStatus;
  /** Calls `listener` when role, leader, term, members or disk state change; returns what ends it. */
  onStatus(listener: (status: RaftStatus) => void): () => void;
  /** A message from another node; false if it was dropped. */
  receive(from: number, message: Uint8Array): boolean;
  /** Resolves when the server has ended: with nothing after `stop`, or with the error that ended it. */
  readonly closed: Promise<CreelError | undefined>;
  stop(): Promise<void>;
}

/** The server's side of a transport. */
export interface Inbound {
  /** Hands in a message of the node `from`; false if it was dropped. */
  deliver(from: number, message: Uint8Array): boolean;
  /** A message to that node was lost. */
  unreachable(id: number): void;
  /** A snapshot to that node arrived, or was lost. */
  snapshotSent(id: number, arrived: boolean): void;
}

/** Carries messages to other nodes. */
export interface Transport {
  /** Never blocks; may drop. A snapshot's fate is told to `Inbound.snapshotSent`. `to.address` may be empty. */
  send(to: Peer, message: Uint8Array, snapshot: boolean): void;
  close(): void;
}

/** What {@link openRaft} takes: where the log is, who is in the group, and the ports to the world. */
export interface RaftOptions {
  /** The node's own directory. */
  dir: string;
  id: number;
  /** The first members, this node among them: the first start of a new group. Ignored where there is a log. */
  bootstrap?: Peer[];
  /** Members of the group that takes this node in: its first start as a joiner. Ignored where there is a log. */
  join?: Peer[];
  transport: (inbound: Inbound) => Transport;
  clock: Clock;
  /** Default 100. */
  tickMs?: number;
  /** Ticks without a leader before an election; default 10. */
  electionTicks?: number;
  /** Default 1. */
  heartbeatTicks?: number;
  /** 32 bytes: log and snapshots are encrypted at rest with it. */
  encryptionKey?: Uint8Array;
  /**
   * The other members are lost for good: this node, reached at this address, becomes the whole group. What its log holds
   * beyond what it knew to be committed counts as committed. Never for a group that still has a majority somewhere.
   */
  soleAddress?: string;
  /** Makes election timeouts repeatable. */
  electionSeed?: number;
  /** What runs the node; by default a thread of its own, on the files of `dir`. */
  open?: NodeOpener;
  /** The largest entry; default 8 MiB. */
  maxEntryBytes?: number;
  /** Entries kept before a snapshot, so that a slow follower needs none; default 1,000. */
  logTail?: number;
  /** Bytes of `committed` that wait in memory for the consumer; default 64 MiB. */
  windowBytes?: number;
  /** With less free disk than this nothing is proposed and the lead is handed over; default 32 MiB. */
  minFreeBytes?: number;
  /** How long `promote` waits for a learner to catch up; default 30,000. */
  promoteTimeoutMs?: number;
}
