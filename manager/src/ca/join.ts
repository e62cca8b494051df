import { X509Certificate } from "node:crypto";
import {
  type Calls,
  type Clock,
  CreelError,
  callsOf,
  type Millis,
  type Random,
  sleep,
  systemClock,
} from "@creel/shared";
import { CaClient, type CaServer, CaService } from "@creel/shared/gen/cluster/v1/ca.ts";
import { type Availability, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import {
  blindCredentials,
  connect,
  type Identity,
  type IdentitySource,
  leaderOf,
  openClient,
  strangerCredentials,
} from "@creel/shared/tls";
import { newRequest } from "./authority.ts";
import { pinnedDigest, rootDigest } from "./tokens.ts";

const CALL_TIMEOUT_MS = 10_000;
/** How long a joiner waits for a cluster whose managers are choosing a leader. */
const LEADER_WAIT_MS = 15_000;
const LEADER_RETRY_MS = 300;
/** A follower names the leader; one that has just changed may need a second step. */
const MAX_REDIRECTS = 3;

/** What a machine needs to become a node of a cluster. */
export interface JoinOptions {
  /** host:port of one or more managers. */
  remoteAddrs: string[];
  token: string;
  availability: Availability;
}

/** What a new node learns of its cluster. */
export interface Joined {
  identity: Identity;
  /** UDP port of the cluster's overlay networks. */
  dataPathPort: number;
}

/**
 * Makes this machine a node: fetches the root and compares it with the token, then has a fresh key certified.
 * Addresses are tried in turn until one answers; an answer that is a refusal ends it (`wrong_ca`, `wrong_token`).
 */
export async function joinCluster(options: JoinOptions, clock: Clock = systemClock): Promise<Joined> {
  const digest = pinnedDigest(options.token);
  if (options.remoteAddrs.length === 0) {
    throw new CreelError("invalid_parameter", { message: "at least one address of a manager is needed" });
  }
  const end = clock.now() + LEADER_WAIT_MS;
  for (;;) {
    const outcome = await tryEach(options, digest);
    if (!(outcome instanceof CreelError)) return outcome;
    if (!isLeaderless(outcome) || clock.now() >= end) throw outcome;
    await sleep(clock, LEADER_RETRY_MS);
  }
}

async function tryEach(options: JoinOptions, digest: string): Promise<Joined | CreelError> {
  let last = new CreelError("no_leader");
  for (const addr of options.remoteAddrs) {
    try {
      const root = await fetchRoot(addr, digest);
      return await requestWithToken(addr, root, options);
    } catch (error) {
      if (!(error instanceof CreelError) || !(isUnreachable(error) || isLeaderless(error))) throw error;
      last = error;
    }
  }
  return last;
}

/** A new key and certificate for a node that has one: before it ends, or when its role changed. */
export async function renewIdentity(source: IdentitySource, managerAddrs: string[]): Promise<Identity> {
  const { key, csr } = await newRequest();
  let last = new CreelError("no_leader");
  for (const addr of managerAddrs) {
    const client = connect(CaClient, addr, source, { role: NodeRole.NODE_ROLE_MANAGER });
    try {
      const reply = await calls(client, addr).issue({ csr: Buffer.from(csr), token: "", availability: 0 });
      return identityFrom(reply, key);
    } catch (error) {
      if (!(error instanceof CreelError) || !(isUnreachable(error) || isLeaderless(error))) throw error;
      last = error;
    } finally {
      client.close();
    }
  }
  throw last;
}

/** Milliseconds until a certificate should be renewed: after 50 to 80 percent of its life, each node at its own time. */
export function renewalDelay(certificate: string, now: Millis, random: Random): Millis {
  const { validFrom, validTo } = new X509Certificate(certificate);
  const from = Date.parse(validFrom);
  const at = from + (Date.parse(validTo) - from) * (0.5 + 0.3 * random.next());
  return Math.max(0, Math.round(at - now));
}

function isUnreachable(error: CreelError): boolean {
  return ["remote_unreachable", "timeout", "stopped"].includes(error.code);
}

function isLeaderless(error: CreelError): boolean {
  return ["no_leader", "not_leader", "proposal_dropped"].includes(error.code);
}

function calls(client: CaClient, addr: string): Calls<CaServer> {
  return callsOf<CaServer>(client, CaService, addr, CALL_TIMEOUT_MS);
}

async function fetchRoot(addr: string, expected: string): Promise<string> {
  const client = openClient(CaClient, addr, blindCredentials());
  try {
    const { certificate } = await calls(client, addr).getRoot({});
    const found = rootDigest(certificate);
    if (found !== expected) throw new CreelError("wrong_ca", { expected, found });
    return Buffer.from(certificate).toString();
  } finally {
    client.close();
  }
}

async function requestWithToken(addr: string, root: string, options: JoinOptions): Promise<Joined> {
  const { key, csr } = await newRequest();
  let at = addr;
  for (let step = 0; ; step++) {
    const client = openClient(CaClient, at, strangerCredentials(root, { role: NodeRole.NODE_ROLE_MANAGER }));
    try {
      const request = {
        csr: Buffer.from(csr),
        token: options.token.trim(),
        availability: options.availability,
      };
      const reply = await calls(client, at).issue(request);
      return { identity: identityFrom(reply, key), dataPathPort: reply.dataPathPort };
    } catch (error) {
      const leader = leaderOf(error);
      if (leader === undefined || step >= MAX_REDIRECTS) throw error;
      if (leader === "") throw new CreelError("no_leader", {}, { cause: error });
      at = leader;
    } finally {
      client.close();
    }
  }
}

function identityFrom(
  reply: { nodeId: string; role: NodeRole; certificate: Uint8Array; root: Uint8Array; clusterId: string },
  key: string,
): Identity {
  const { nodeId, role, clusterId } = reply;
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  return { nodeId, role, clusterId, key, certificate: text(reply.certificate), root: text(reply.root) };
}
