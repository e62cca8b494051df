import { EventEmitter } from "node:events";
import { type CallLimits, CreelError, fromGrpc, toGrpc } from "@creel/shared";
import type { AgentMessage, DispatcherMessage } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { DispatcherService } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import {
  type Expectation,
  type IdentitySource,
  leaderOf,
  type NodeServer,
  type Peer,
  type PeerIdentity,
  type Peers,
  type RoleOf,
  type Rule,
} from "@creel/shared/tls";
import type { DispatcherConnector, DispatcherStream } from "@creel/worker";
import { type MethodDefinition, type ServiceDefinition, type ServiceError, status } from "@grpc/grpc-js";
import type { Network, Pipe } from "./network.ts";
import type { Process } from "./time.ts";

/** A machine that nobody answers for is given up after so long. */
const CONNECT_MS = 5_000;
/** The agent asks so long whether anybody is there. */
const REACH_MS = 700;

type Method = MethodDefinition<unknown, unknown>;
type Status = Partial<ServiceError>;
type Handler = (call: unknown, callback?: (error: Status | null, reply?: unknown) => void) => void;

interface Served {
  method: Method;
  handler: Handler;
  rule: Rule;
}

/** What a handler sees of a call; its caller is who the network says it is. */
class Call extends EventEmitter {
  readonly caller: PeerIdentity | undefined;
  readonly request: unknown;
  readonly #host: string;

  constructor(caller: PeerIdentity | undefined, host: string, request?: unknown) {
    super();
    this.caller = caller;
    this.#host = host;
    this.request = request;
  }

  getPeer(): string {
    return `${this.#host}:50000`;
  }
}

/** The server's half of a stream. */
class StreamCall extends Call {
  write: (message: unknown) => void = () => {};
  end: () => void = () => {};
  sendMetadata: () => void = () => {};
}

/** A node's port without TLS: the same services, rules and roles as the real one. */
export class SimulatedServer implements NodeServer {
  readonly identity: IdentitySource;
  readonly process: Process;
  readonly #served = new Map<string, Served>();
  #roleOf: RoleOf = (peer) => peer.role;

  constructor(process: Process, identity: IdentitySource) {
    this.process = process;
    this.identity = identity;
  }

  add: NodeServer["add"] = (service, implementation, rules) => {
    const handlers = implementation as unknown as Record<string, Handler>;
    for (const [name, method] of Object.entries(service)) {
      const handler = handlers[name]!.bind(implementation);
      this.#served.set(method.path, { method, handler, rule: (rules as Record<string, Rule>)[name]! });
    }
  };

  remove(service: ServiceDefinition): void {
    for (const { path } of Object.values(service)) this.#served.delete(path);
  }

  setRoles(roleOf: RoleOf = (peer) => peer.role): void {
    this.#roleOf = roleOf;
  }

  identityOf: NodeServer["identityOf"] = (call) => {
    const peer = (call as unknown as Call).caller;
    if (!peer || peer.clusterId !== this.identity.current().clusterId)
      throw new CreelError("unauthenticated");
    const role = this.#roleOf(peer);
    if (role === undefined) throw new CreelError("node_removed", { id: peer.nodeId });
    return { ...peer, role, certifiedRole: peer.role };
  };

  /** Hands a call to its handler, if its caller may make it. */
  take(path: string, call: Call, refuse: (status: Status) => void, callback?: Parameters<Handler>[1]): void {
    const served = this.#served.get(path);
    if (!served) {
      refuse({ code: status.UNIMPLEMENTED, details: `${path} is not served here` });
      return;
    }
    try {
      if (served.rule !== "anyone") {
        const { role } = this.identityOf(call as never);
        if (!served.rule.includes(role))
          throw new CreelError("permission_denied", { role: "", method: path });
      }
    } catch (error) {
      refuse(toGrpc(error));
      return;
    }
    served.handler(call, callback);
  }
}

/** Who listens where. */
export class Switchboard {
  readonly #servers = new Map<string, SimulatedServer>();
  readonly network: Network;

  constructor(network: Network) {
    this.network = network;
  }

  listen(addr: string, server: SimulatedServer): void {
    this.#servers.set(addr, server);
  }

  /** The other nodes, as a program sees them that shows `identity`. */
  peers(process: Process, identity: () => PeerIdentity | undefined): Peers {
    return {
      open: <Server>(service: ServiceDefinition, addr: string, expected: Expectation, timeoutMs: number) => {
        const calls: Record<string, unknown> = {};
        for (const [name, method] of Object.entries(service)) {
          calls[name] = (request: unknown, limits: CallLimits = {}) =>
            this.#unary(process, identity(), addr, expected, method as Method, request, {
              timeoutMs,
              ...limits,
            });
        }
        return { calls, close: () => {} } as unknown as Peer<Server>;
      },
    };
  }

  /** The agent's way to dispatchers. */
  dispatchers(process: Process, identity: () => PeerIdentity): DispatcherConnector {
    return (addr) =>
      new Promise((resolve, reject) => {
        const away = () => reject(new CreelError("remote_unreachable", { addr, message: "no connection" }));
        const { machine, clock } = process;
        const host = hostOf(addr);
        if (this.network.isCut(machine, host) || this.network.isCut(host, machine)) {
          clock.after(REACH_MS, away);
          return;
        }
        clock.after(2 * this.network.delay(), () => {
          const server = this.#find(addr, { role: NodeRole.NODE_ROLE_MANAGER });
          if (server) resolve(this.#stream(process, identity(), server, addr));
          else away();
        });
      });
  }

  #find(addr: string, expected: Expectation): SimulatedServer | undefined {
    const server = this.#servers.get(addr);
    if (!server?.process.alive) return undefined;
    const { nodeId, role } = server.identity.current();
    if (expected.nodeId !== undefined && expected.nodeId !== nodeId) return undefined;
    return expected.role === undefined || expected.role === role ? server : undefined;
  }

  #unary(
    process: Process,
    caller: PeerIdentity | undefined,
    addr: string,
    expected: Expectation,
    method: Method,
    request: unknown,
    { timeoutMs }: CallLimits,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { clock, machine } = process;
      const away = () => reject(new CreelError("remote_unreachable", { addr, message: "no connection" }));
      if (timeoutMs)
        clock.after(timeoutMs, () => reject(new CreelError("timeout", { what: addr, ms: timeoutMs })));
      const server = this.#find(addr, expected);
      if (!server) {
        const dark = this.network.isCut(machine, hostOf(addr));
        clock.after(dark ? CONNECT_MS : this.network.delay(), away);
        return;
      }
      const up = this.network.pipe(process, server.process, away);
      // An answer that cannot be brought is lost with its connection; the caller's own patience ends the call.
      const down = this.network.pipe(server.process, process, () => {});
      const bytes = method.requestSerialize(request);
      up.send(() => {
        const call = new Call(caller, machine, method.requestDeserialize(bytes));
        const refuse = (error: Status) => down.send(() => reject(fromGrpc(error, addr)));
        server.take(method.path, call, refuse, (error, reply) => {
          if (error) return refuse(error);
          const answer = method.responseSerialize(reply);
          down.send(() => resolve(method.responseDeserialize(answer)));
        });
      });
    });
  }

  #stream(process: Process, caller: PeerIdentity, server: SimulatedServer, addr: string): DispatcherStream {
    const method = DispatcherService.session;
    const end = new StreamEnd(addr);
    const call = new StreamCall(caller, process.machine);
    const up: Pipe = this.network.pipe(process, server.process, () =>
      end.over({ code: status.UNAVAILABLE, details: "the connection was lost" }),
    );
    const down: Pipe = this.network.pipe(server.process, process, () => call.emit("cancelled"));
    call.write = (message) => {
      const bytes = method.responseSerialize(message as DispatcherMessage);
      down.send(() => end.message(method.responseDeserialize(bytes)));
    };
    call.end = () => down.sendLast(() => end.over(undefined));
    call.sendMetadata = () => down.send(() => end.taken());
    call.on("error", (error: Status) => down.sendLast(() => end.over(error)));
    up.send(() => server.take(method.path, call, (error) => call.emit("error", error)));
    return {
      send(message: AgentMessage) {
        if (end.isOver) return;
        const bytes = method.requestSerialize(message);
        up.send(() => call.emit("data", method.requestDeserialize(bytes)));
      },
      onTaken: (listener) => {
        end.onTaken = listener;
      },
      onMessage: (listener) => {
        end.onMessage = listener;
      },
      onEnd: (listener) => end.listen(listener),
      close() {
        if (end.isOver) return;
        up.sendLast(() => call.emit("cancelled"));
        end.over(undefined);
      },
    };
  }
}

type EndListener = (error: Error | undefined, leader: string | undefined) => void;

/** The agent's half of a stream. */
class StreamEnd {
  readonly #addr: string;
  readonly #listeners: EndListener[] = [];
  #ended: { error: Error | undefined; leader: string | undefined } | undefined;
  onTaken: () => void = () => {};
  onMessage: (message: DispatcherMessage) => void = () => {};

  constructor(addr: string) {
    this.#addr = addr;
  }

  get isOver(): boolean {
    return this.#ended !== undefined;
  }

  taken(): void {
    if (!this.#ended) this.onTaken();
  }

  message(message: DispatcherMessage): void {
    if (!this.#ended) this.onMessage(message);
  }

  listen(listener: EndListener): void {
    if (this.#ended) listener(this.#ended.error, this.#ended.leader);
    else this.#listeners.push(listener);
  }

  over(status: Status | undefined): void {
    if (this.#ended) return;
    const error = status && fromGrpc(status, this.#addr);
    this.#ended = { error, leader: error && (leaderOf(error) || undefined) };
    for (const listener of this.#listeners) listener(this.#ended.error, this.#ended.leader);
  }
}

/** The machine of an address. */
export function hostOf(addr: string): string {
  return addr.slice(0, addr.lastIndexOf(":"));
}
