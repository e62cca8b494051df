import { Client, type ServiceDefinition } from "@grpc/grpc-js";
import { type Calls, callsOf } from "../calls.ts";
import { openClient } from "./client.ts";
import { type Expectation, memberCredentials } from "./credentials.ts";
import type { IdentitySource } from "./identity.ts";

/** One service of another node. */
export interface Peer<Server> {
  readonly calls: Calls<Server>;
  close(): void;
}

/** The way to other nodes as a port: production hands in {@link tlsPeers}, a simulation its own network. */
export interface Peers {
  /** `expected`: who alone may answer. Unary calls end after `timeoutMs`. The caller closes it. */
  open<Server>(
    service: ServiceDefinition,
    addr: string,
    expected: Expectation,
    timeoutMs: number,
  ): Peer<Server>;
}

/** Other nodes over mutual TLS, as the node that `identity` says. */
export function tlsPeers(identity: IdentitySource): Peers {
  return {
    open<Server>(service: ServiceDefinition, addr: string, expected: Expectation, timeoutMs: number) {
      const client = openClient(Client, addr, memberCredentials(identity, expected));
      return { calls: callsOf<Server>(client, service, addr, timeoutMs), close: () => client.close() };
    },
  };
}
