import {
  Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { AuthContext } from "@grpc/grpc-js/build/src/auth-context.js";
import type { Clock } from "../clock.ts";
import { CreelError, messageOf, toGrpc } from "../errors/mod.ts";
import type { NodeRole } from "../gen/creel/cluster/v1/objects.ts";
import { serverCredentials } from "./credentials.ts";
import { type IdentitySource, identityOfCertificate, type PeerIdentity, roleName } from "./identity.ts";

/** Who may call a method: anybody at all, or members with one of these roles. */
export type Rule = "anyone" | readonly NodeRole[];

/** One rule for each method of a service definition; a method without one is not served. */
export type Rules<S extends ServiceDefinition> = { readonly [M in keyof S]: Rule };

/** What `ClusterServer` needs of a call to know its caller. */
export interface AuthenticatedCall {
  getAuthContext(): AuthContext;
}

/** A caller: who it is, and what it may act as. */
export interface Caller extends PeerIdentity {
  /** What its certificate says; another role than `role` while the node changes its own. */
  certifiedRole: NodeRole;
}

/** The role a member may act in at this moment; undefined for a node that was removed from the cluster. */
export type RoleOf = (peer: PeerIdentity) => NodeRole | undefined;

const byCertificate: RoleOf = (peer) => peer.role;

export interface ClusterServerOptions {
  identity: IdentitySource;
  clock: Clock;
}

/** Limits for both directions; the assignments of a full node or a snapshot's chunk must fit. */
export const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": 64 << 20,
  "grpc.max_send_message_length": 64 << 20,
  "grpc.max_concurrent_streams": 20_000,
  "grpc-node.max_session_memory": 256,
} as const;

/** What a node's services need of its port. */
export type NodeServer = Pick<ClusterServer, "add" | "remove" | "setRoles" | "identityOf">;

/** How long calls in flight get to end when the server stops. */
const STOP_GRACE_MS = 500;

/**
 * The one TLS port of a node. Services are added and taken away while it runs (a worker that becomes a manager), and
 * no method is reached by a caller whom its rule does not name.
 */
export class ClusterServer {
  readonly #server: Server;
  readonly #options: ClusterServerOptions;
  readonly #rules = new Map<string, Rule>();
  #credentials: ReturnType<typeof serverCredentials> | undefined;
  #roleOf: RoleOf;

  constructor(options: ClusterServerOptions) {
    this.#options = options;
    this.#roleOf = byCertificate;
    this.#server = new Server({ ...CHANNEL_OPTIONS, interceptors: [this.#guard()] });
  }

  /** Serves `implementation` under `rules`. */
  add<S extends ServiceDefinition>(
    service: S,
    implementation: UntypedServiceImplementation,
    rules: Rules<S>,
  ): void {
    for (const [name, method] of Object.entries(service)) this.#rules.set(method.path, rules[name]!);
    this.#server.addService(service, implementation);
  }

  /** No longer serves these methods; calls in flight go on. */
  remove(service: ServiceDefinition): void {
    for (const method of Object.values(service)) this.#rules.delete(method.path);
    this.#server.removeService(service);
  }

  /** Who knows more of a node than its certificate says; without one (on a worker) the certificate alone counts. */
  setRoles(roleOf: RoleOf = byCertificate): void {
    this.#roleOf = roleOf;
  }

  /** Binds `address` (host:port; port 0: a free one) and resolves with the port. */
  async listen(address: string): Promise<number> {
    const credentials = serverCredentials(this.#options.identity);
    try {
      const port = await new Promise<number>((resolve, reject) =>
        this.#server.bindAsync(address, credentials, (error, bound) =>
          error ? reject(error) : resolve(bound),
        ),
      );
      this.#credentials = credentials;
      return port;
    } catch (error) {
      credentials.close();
      throw new CreelError("listen_failed", { addr: address, message: messageOf(error) }, { cause: error });
    }
  }

  /** The member behind a call; refuses strangers (`unauthenticated`). */
  identityOf(call: AuthenticatedCall): Caller {
    const certificate = call.getAuthContext().sslPeerCertificate;
    const peer = certificate && identityOfCertificate(certificate, this.#options.clock.now());
    if (!peer || peer.clusterId !== this.#options.identity.current().clusterId) {
      throw new CreelError("unauthenticated");
    }
    const role = this.#roleOf(peer);
    if (role === undefined) throw new CreelError("node_removed", { id: peer.nodeId });
    return { ...peer, role, certifiedRole: peer.role };
  }

  /** Calls in flight get a moment, then everything is closed. */
  async stop(): Promise<void> {
    this.#credentials?.close();
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.after(STOP_GRACE_MS, () => this.#server.forceShutdown());
      this.#server.tryShutdown(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #guard(): ServerInterceptor {
    return (method, call) => {
      const refusal = this.#refusal(method.path, call);
      if (refusal === undefined) return new ServerInterceptingCall(call);
      const { code, details, metadata } = toGrpc(refusal);
      return new ServerInterceptingCall(call, {
        start: () => call.sendStatus({ code: code!, details: details!, metadata: metadata! }),
      });
    };
  }

  #refusal(path: string, call: AuthenticatedCall): CreelError | undefined {
    const rule = this.#rules.get(path);
    if (rule === "anyone") return undefined;
    try {
      const peer = this.identityOf(call);
      if (rule?.includes(peer.role)) return undefined;
      return new CreelError("permission_denied", { role: roleName(peer.role), method: path });
    } catch (error) {
      return error instanceof CreelError ? error : new CreelError("internal", { message: messageOf(error) });
    }
  }
}
