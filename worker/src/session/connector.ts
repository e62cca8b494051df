import { CreelError, fromGrpc } from "@creel/shared";
import {
  type AgentMessage,
  DispatcherClient,
  type DispatcherMessage,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { connect, type IdentitySource, isReachable, leaderOf } from "@creel/shared/tls";
import type { DispatcherConnector } from "../ports.ts";

const REACH_MS = 700;

/** Streams to dispatchers over mutual TLS, as the node that `identity` says. */
export function dispatcherConnector(identity: IdentitySource): DispatcherConnector {
  return async (addr) => {
    if (!(await isReachable(addr, REACH_MS))) {
      throw new CreelError("remote_unreachable", { addr, message: "no connection" });
    }
    const client = connect(DispatcherClient, addr, identity, { role: NodeRole.NODE_ROLE_MANAGER });
    const stream = client.session();
    const listeners: ((error: Error | undefined, leader: string | undefined) => void)[] = [];
    let over: { error: Error | undefined; leader: string | undefined } | undefined;
    const end = (error: Error | undefined) => {
      if (over) return;
      over = { error, leader: error && (leaderOf(error) || undefined) };
      client.close();
      for (const listener of listeners) listener(over.error, over.leader);
    };
    stream.on("error", (error) => end(fromGrpc(error, addr)));
    stream.on("end", () => end(undefined));
    stream.on("close", () => end(undefined));
    return {
      send(message: AgentMessage) {
        if (!over && stream.writable) stream.write(message);
      },
      onTaken: (listener) => void stream.on("metadata", listener),
      onMessage: (listener) => void stream.on("data", (message: DispatcherMessage) => listener(message)),
      onEnd(listener) {
        if (over) listener(over.error, over.leader);
        else listeners.push(listener);
      },
      close() {
        stream.cancel();
        end(undefined);
      },
    };
  };
}
