import type { ChannelCredentials, Client, ClientOptions, ServiceError } from "@grpc/grpc-js";
import { CreelError } from "../errors/mod.ts";
import { type Expectation, memberCredentials, SERVER_NAME } from "./credentials.ts";
import type { IdentitySource } from "./identity.ts";
import { CHANNEL_OPTIONS } from "./server.ts";

/** A generated client's constructor. */
export type ClientConstructor<C extends Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ClientOptions>,
) => C;

/** A lost machine is noticed by these pings, long before TCP gives up. */
const CLIENT_OPTIONS = {
  ...CHANNEL_OPTIONS,
  "grpc.ssl_target_name_override": SERVER_NAME,
  "grpc.keepalive_time_ms": 2_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.enable_http_proxy": 0,
  // channels are not shared: each has its own idea of whom it expects on the other side
  "grpc.use_local_subchannel_pool": 1,
} as const;

/** Opens a client of `addr` (host:port) with these credentials. The caller closes it. */
export function openClient<C extends Client>(
  ctor: ClientConstructor<C>,
  addr: string,
  credentials: ChannelCredentials,
): C {
  return new ctor(addr, credentials, CLIENT_OPTIONS);
}

/** A client of another member over mutual TLS; `expected` says whom alone it may speak with. */
export function connect<C extends Client>(
  ctor: ClientConstructor<C>,
  addr: string,
  identity: IdentitySource,
  expected: Expectation = {},
): C {
  return openClient(ctor, addr, memberCredentials(identity, expected));
}

/** Name of the metadata in which a follower names the leader (host:port). */
export const LEADER_KEY = "creel-leader";

/** The leader that a follower's refusal names; empty when it knew none, undefined for any other error. */
export function leaderOf(error: unknown): string | undefined {
  if (!(error instanceof CreelError) || error.code !== "not_leader") return undefined;
  const cause = error.cause as Partial<ServiceError> | undefined;
  return cause?.metadata?.get(LEADER_KEY)[0]?.toString() ?? "";
}
