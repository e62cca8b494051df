import type { PeerCertificate } from "node:tls";
import { NodeRole } from "../gen/creel/cluster/v1/objects.ts";

/** What a node shows of itself to others: its certificate's subject. */
export interface PeerIdentity {
  /** CN */
  nodeId: string;
  /** OU: creel-manager or creel-worker */
  role: NodeRole;
  /** O */
  clusterId: string;
}

/** A node's own place in a cluster: who it is, and the key material that proves it (all PEM). */
export interface Identity extends PeerIdentity {
  certificate: string;
  key: string;
  root: string;
}

/** An identity that may be renewed under running servers and connections; `current` is asked anew each time. */
export interface IdentitySource {
  current(): Identity;
  /** Calls back after each change; returns the way to stop that. */
  onChange(listener: () => void): () => void;
}

/** The {@link IdentitySource} of a daemon: holds the identity of the moment. */
export class LiveIdentity implements IdentitySource {
  #identity: Identity;
  readonly #listeners = new Set<() => void>();

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  current(): Identity {
    return this.#identity;
  }

  /** Puts a renewed identity in place: new handshakes use it, open connections stay. */
  replace(identity: Identity): void {
    this.#identity = identity;
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const UNITS: Record<string, NodeRole> = {
  "creel-manager": NodeRole.NODE_ROLE_MANAGER,
  "creel-worker": NodeRole.NODE_ROLE_WORKER,
};

/** The OU of a role's certificates. */
export function roleUnit(role: NodeRole): string {
  return role === NodeRole.NODE_ROLE_MANAGER ? "creel-manager" : "creel-worker";
}

/** The role's name as texts and Docker's API write it. */
export function roleName(role: NodeRole): "manager" | "worker" {
  return role === NodeRole.NODE_ROLE_MANAGER ? "manager" : "worker";
}

/** Who a certificate's subject names; undefined when it is not one of ours or its time is over. */
export function identityOfCertificate(
  certificate: Pick<PeerCertificate, "subject" | "valid_to">,
  now: number,
): PeerIdentity | undefined {
  const { CN: nodeId, O: clusterId, OU: unit } = certificate.subject ?? {};
  if (typeof nodeId !== "string" || typeof clusterId !== "string" || typeof unit !== "string")
    return undefined;
  const role = UNITS[unit];
  if (role === undefined || Date.parse(certificate.valid_to) <= now) return undefined;
  return { nodeId, clusterId, role };
}
