// The mirror of native/binding: plain data across, nothing decided here.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { CreelError, type ErrorCode, messageOf, registry } from "@creel/shared";
import type { Peer, RaftStatus } from "./types.ts";

export interface NativeOptions {
  dir: string;
  id: number;
  bootstrap?: Peer[];
  join?: Peer[];
  electionTicks: number;
  heartbeatTicks: number;
  maxEntryBytes: number;
  logTail: number;
  windowBytes: number;
  minFreeBytes: number;
  key?: Uint8Array;
  electionSeed?: number;
  soleAddress?: string;
}

type Members = "voters" | "learners" | "peers";

/** Members are left out where they are as they were. */
export type NativeStatus = Omit<RaftStatus, "applied" | Members> & Partial<Pick<RaftStatus, Members>>;

export type NativeEvent =
  | { kind: "send"; to: number; address: string; data: Uint8Array; snapshot: boolean }
  | { kind: "entry"; index: number; term: number; data: Uint8Array }
  | { kind: "snapshot"; index: number; term: number; data: Uint8Array }
  | { kind: "membership"; index: number; voters: number[]; learners: number[]; peers: Peer[] }
  | { kind: "reached"; index: number }
  | { kind: "done"; id: number; index: number }
  | { kind: "read"; id: number; index: number }
  | { kind: "failed"; id: number; code: string; text: string }
  | { kind: "status"; status: NativeStatus }
  | { kind: "fatal"; code: string; text: string }
  | { kind: "stopped" };

export interface NativeRaft {
  tick(): void;
  propose(id: number, data: Uint8Array): void;
  change(id: number, kind: "learner" | "voter" | "remove", peer: Peer): void;
  readIndex(id: number): void;
  transferLeader(id: number, to: number): void;
  campaign(): void;
  receive(from: number, message: Uint8Array): boolean;
  unreachable(peer: number): void;
  snapshotSent(peer: number, ok: boolean): void;
  consumed(bytes: number): void;
  snapshot(id: number, index: number, data: Uint8Array, keepOld: number): void;
  stop(): void;
  release(): void;
}

/** A node that runs when it is told to, on the caller's thread. */
export interface SteppedRaft extends NativeRaft {
  /** Does the commands given since; `syncs`: how many of its disk's synced writes the events must wait for. */
  run(): { events: NativeEvent[]; syncs: number }[];
}

/** A disk in memory. */
export interface NativeDisk {
  syncing(): number;
  pending(): number;
  settle(syncs: number): void;
  crash(kept: number): NativeDisk;
  setFree(bytes: number): void;
}

/** Opens a node; `sink` is called with arrays of events until one says `stopped`. */
export type NodeOpener = (
  options: NativeOptions,
  sink: (events: NativeEvent[]) => void,
) => Promise<NativeRaft>;

interface Addon {
  openNode: NodeOpener;
  openStepped(options: NativeOptions, disk: NativeDisk): SteppedRaft;
  NativeDisk: new () => NativeDisk;
}

let loaded: Addon | undefined;

/** Opens a node off the JavaScript thread. */
export const openNode: NodeOpener = (options, sink) => translated(() => addon().openNode(options, sink));

/** Opens a node that is run by hand. */
export function openStepped(options: NativeOptions, disk: NativeDisk): Promise<SteppedRaft> {
  return translated(() => addon().openStepped(options, disk));
}

/** A disk in memory, with nothing on it. */
export function newDisk(): NativeDisk {
  return new (addon().NativeDisk)();
}

async function translated<T>(open: () => T | Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    const [, code, text] = /^(\w+):(.*)$/s.exec(messageOf(error)) ?? [];
    throw errorOf(code ?? "internal", text ?? messageOf(error));
  }
}

function addon(): Addon {
  loaded ??= load();
  return loaded;
}

/** The registry's error for what the native side says. */
export function errorOf(code: string, text: string): CreelError {
  return CreelError.withText(code in registry ? (code as ErrorCode) : "internal", text);
}

function load(): Addon {
  // Beside the sources in a checkout, beside the bundle where Creel is installed.
  const places = [join(import.meta.dirname, "../raft.node"), join(import.meta.dirname, "raft.node")];
  const path = places.find((place) => existsSync(place));
  if (path === undefined) {
    throw new CreelError("internal", { message: `${places[0]} is missing: build it with npm run build` });
  }
  return createRequire(import.meta.url)(path) as Addon;
}
