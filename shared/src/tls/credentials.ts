import { createSecureContext, type PeerCertificate, type SecureContextOptions } from "node:tls";
import { ChannelCredentials, ServerCredentials, type VerifyOptions } from "@grpc/grpc-js";
import { systemClock } from "../clock.ts";
import { CreelError } from "../errors/mod.ts";
import type { NodeRole } from "../gen/creel/cluster/v1/objects.ts";
import { type IdentitySource, identityOfCertificate, roleName } from "./identity.ts";

/** Whom a client means to reach; a server that is somebody else is not spoken to. */
export interface Expectation {
  nodeId?: string;
  role?: NodeRole;
}

/** Node's TLS wants a name; certificates are judged by their subject, never by an address. */
export const SERVER_NAME = "node.creel";

const MIN_VERSION = "TLSv1.3" as const;

function contextOptions(source: IdentitySource): SecureContextOptions {
  const { certificate, key, root } = source.current();
  return { cert: certificate, key, ca: root, minVersion: MIN_VERSION };
}

/**
 * TLS 1.3 that asks for a client certificate and goes on without a good one: strangers must be able to join. Which
 * method may be called by whom is decided for each call (see ClusterServer).
 */
class OpenServerCredentials extends ServerCredentials {
  readonly #stop: () => void;

  constructor(source: IdentitySource) {
    super({ requestCert: true, rejectUnauthorized: false, minVersion: MIN_VERSION }, contextOptions(source));
    this.#stop = source.onChange(() => this.updateSecureContextOptions(contextOptions(source)));
  }

  /** Stops to follow renewals. */
  close(): void {
    this.#stop();
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

type SecureConnector = ReturnType<ChannelCredentials["_createSecureConnector"]>;
type ConnectorArguments = Parameters<ChannelCredentials["_createSecureConnector"]>;

/** Makes each handshake with the identity of that moment, so that a long-lived channel outlives a renewal. */
class LiveChannelCredentials extends ChannelCredentials {
  readonly #make: () => ChannelCredentials;

  constructor(make: () => ChannelCredentials) {
    super();
    this.#make = make;
  }

  _isSecure(): boolean {
    return true;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(...args: ConnectorArguments): SecureConnector {
    const make = () => this.#make()._createSecureConnector(...args);
    const first = make();
    return {
      connect: (socket) => make().connect(socket),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => first.getCallCredentials(),
      destroy: () => first.destroy(),
    };
  }
}

/** Credentials of a node's one TLS port. */
export function serverCredentials(source: IdentitySource): ServerCredentials & { close(): void } {
  return new OpenServerCredentials(source);
}

function verify(clusterId: string | undefined, expected: Expectation): VerifyOptions {
  return {
    checkServerIdentity(_name: string, certificate: PeerCertificate) {
      const found = identityOfCertificate(certificate, systemClock.now());
      if (!found || (clusterId !== undefined && found.clusterId !== clusterId)) {
        return new CreelError("unauthenticated");
      }
      if (expected.nodeId !== undefined && found.nodeId !== expected.nodeId) {
        return new CreelError("wrong_peer", { expected: expected.nodeId, found: found.nodeId });
      }
      if (expected.role !== undefined && found.role !== expected.role) {
        return new CreelError("wrong_peer", {
          expected: `a ${roleName(expected.role)}`,
          found: `${roleName(found.role)} ${found.nodeId}`,
        });
      }
      return undefined;
    },
  };
}

/** Mutual TLS as a member of the cluster; the other side must be a member too, and the one expected. */
export function memberCredentials(source: IdentitySource, expected: Expectation = {}): ChannelCredentials {
  return new LiveChannelCredentials(() =>
    ChannelCredentials.createFromSecureContext(
      createSecureContext(contextOptions(source)),
      verify(source.current().clusterId, expected),
    ),
  );
}

/** TLS of a stranger who has the cluster's root already (PEM), and no certificate yet. */
export function strangerCredentials(root: string, expected: Expectation = {}): ChannelCredentials {
  const context = createSecureContext({ ca: root, minVersion: MIN_VERSION });
  return ChannelCredentials.createFromSecureContext(context, verify(undefined, expected));
}

/** TLS before any trust: only for asking for the root, whose digest the caller then compares. */
export function blindCredentials(): ChannelCredentials {
  const context = createSecureContext({ minVersion: MIN_VERSION });
  return ChannelCredentials.createFromSecureContext(context, {
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
}
