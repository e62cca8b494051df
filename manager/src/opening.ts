import { join } from "node:path";
import { type Clock, CreelError, messageOf, type Random, sleep } from "@creel/shared";
import { type MembershipServer, MembershipService } from "@creel/shared/gen/cluster/v1/ca.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type IdentitySource, leaderOf } from "@creel/shared/tls";
import type { Peer } from "node-raft-server";
import { newRaftId } from "./membership/service.ts";
import { type ManagerPorts, portsOf } from "./ports.ts";

const CALL_TIMEOUT_MS = 20_000;
const JOIN_TIMEOUT_MS = 60_000;
const RETRY_MS = 500;
const FORMAT = 1;

/** This manager's place in the Raft group, and with whom it begins if it has no log yet. */
export interface RaftPlace {
  id: number;
  bootstrap?: Peer[];
  join?: Peer[];
}

export interface PlaceOptions {
  dataDir: string;
  addr: string;
  identity: IdentitySource;
  clock: Clock;
  random: Random;
  ports?: Partial<ManagerPorts>;
}

interface PlaceFile {
  format: number;
  raftId: number;
  clusterId: string;
  peers: Peer[];
}

/** The place of a manager that was one before; undefined if it was not. */
export async function readPlace(options: PlaceOptions): Promise<RaftPlace | undefined> {
  const path = placePath(options.dataDir);
  const text = await portsOf(options).files.read(path);
  if (text === undefined) return undefined;
  let file: PlaceFile;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw new CreelError("storage_damaged", { path, message: messageOf(error) }, { cause: error });
  }
  if (file.format > FORMAT)
    throw new CreelError("data_format_newer", { path, found: file.format, known: FORMAT });
  if (file.clusterId !== options.identity.current().clusterId) {
    throw new CreelError("storage_damaged", { path, message: `it belongs to cluster ${file.clusterId}` });
  }
  const alone = file.peers.length === 1 && file.peers[0]?.id === file.raftId;
  return alone ? { id: file.raftId, bootstrap: file.peers } : { id: file.raftId, join: file.peers };
}

/** The place of a new cluster's first manager. */
export async function firstPlace(options: PlaceOptions): Promise<RaftPlace> {
  const id = newRaftId(options.random);
  const peers = [{ id, address: options.addr }];
  await writePlace(options, id, peers);
  return { id, bootstrap: peers };
}

/** Asks the leader, found through any of `managers`, for a place in its Raft group. */
export async function joinGroup(options: PlaceOptions, managers: string[]): Promise<RaftPlace> {
  const reply = await askLeader(options, managers, 0);
  const peers = reply.peers.map((peer) => ({ id: peer.raftId, address: peer.addr }));
  await writePlace(options, reply.raftId, peers);
  return { id: reply.raftId, join: peers };
}

/** Tells the group where a member is reached now. */
export async function tellAddress(options: PlaceOptions, managers: string[], raftId: number): Promise<void> {
  await askLeader(options, managers, raftId);
}

async function askLeader(options: PlaceOptions, managers: string[], raftId: number) {
  const { addr, clock } = options;
  const { peers } = portsOf(options);
  const end = clock.now() + JOIN_TIMEOUT_MS;
  let next: string[] = [];
  let last: unknown = new CreelError("no_leader");
  do {
    if (next.length === 0) next = [...managers];
    const manager = next.shift()!;
    const role = NodeRole.NODE_ROLE_MANAGER;
    const peer = peers.open<MembershipServer>(MembershipService, manager, { role }, CALL_TIMEOUT_MS);
    try {
      return await peer.calls.join({ addr, raftId });
    } catch (error) {
      last = error;
      const leader = leaderOf(error);
      if (leader) next.unshift(leader);
      else if (!mayPass(error)) throw error;
      await sleep(clock, RETRY_MS);
    } finally {
      peer.close();
    }
  } while (clock.now() < end);
  throw last;
}

function mayPass(error: unknown): boolean {
  const codes = [
    "not_leader",
    "no_leader",
    "remote_unreachable",
    "timeout",
    "proposal_dropped",
    "conflict",
    "stopped",
  ];
  return error instanceof CreelError && codes.includes(error.code);
}

function placePath(dataDir: string): string {
  return join(dataDir, "raft-member.json");
}

async function writePlace(options: PlaceOptions, raftId: number, peers: Peer[]): Promise<void> {
  const { clusterId } = options.identity.current();
  const file: PlaceFile = { format: FORMAT, raftId, clusterId, peers };
  await portsOf(options).files.write(placePath(options.dataDir), JSON.stringify(file));
}
