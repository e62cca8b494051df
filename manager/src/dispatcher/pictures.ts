import type { ApplyRequest, Balancer, Peer } from "@creel/shared/gen/engine/v1/network.ts";

/** What a network's log can tell of; who has seen less is told everything. */
const LOG_LENGTH = 4_096;

interface OwnedPeer {
  peer: Peer;
  /** Task or node id: an address that was given on is not taken from its new owner. */
  owner: string;
  nodeId: string;
}

type Touched = { balancer: string } | { address: string };

/**
 * One overlay network as all its nodes see it: what stands behind each name and address, and where each address
 * lives. Changes are numbered, so that each node is told only what it has not heard.
 */
export class NetworkPicture {
  readonly networkId: string;
  readonly #onChange: (networkId: string) => void;
  readonly #balancers = new Map<string, { balancer: Balancer; text: string }>();
  readonly #peers = new Map<string, OwnedPeer>();
  readonly #byOwner = new Map<string, string[]>();
  #log: Touched[] = [];
  /** Number of the entry before the log's first. */
  #floor = 0;

  constructor(networkId: string, onChange: (networkId: string) => void) {
    this.networkId = networkId;
    this.#onChange = onChange;
  }

  /** Number of the last change. */
  get version(): number {
    return this.#floor + this.#log.length;
  }

  setBalancer(balancer: Balancer): void {
    const text = JSON.stringify(balancer);
    if (this.#balancers.get(balancer.id)?.text === text) return;
    this.#balancers.set(balancer.id, { balancer, text });
    this.#note({ balancer: balancer.id });
  }

  removeBalancer(id: string): void {
    if (this.#balancers.delete(id)) this.#note({ balancer: id });
  }

  /** All addresses that `owner` has here now; those it had before and has no longer are gone. */
  setPeers(owner: string, nodeId: string, peers: Peer[]): void {
    for (const address of this.#byOwner.get(owner) ?? []) {
      if (peers.some((peer) => peer.address === address) || this.#peers.get(address)?.owner !== owner)
        continue;
      this.#peers.delete(address);
      this.#note({ address });
    }
    if (peers.length === 0) this.#byOwner.delete(owner);
    else
      this.#byOwner.set(
        owner,
        peers.map((peer) => peer.address),
      );
    for (const peer of peers) {
      const known = this.#peers.get(peer.address);
      this.#peers.set(peer.address, { peer, owner, nodeId });
      if (known?.nodeId !== nodeId || known.peer.vtep !== peer.vtep) this.#note({ address: peer.address });
    }
  }

  /** What `nodeId` has to hear that has heard all up to `since` (undefined: nothing yet); undefined when nothing. */
  delta(nodeId: string, since: number | undefined): ApplyRequest | undefined {
    if (since === undefined || since < this.#floor) return this.#everything(nodeId);
    if (since >= this.version) return undefined;
    const balancers = new Set<string>();
    const addresses = new Set<string>();
    for (let i = since - this.#floor; i < this.#log.length; i++) {
      const touched = this.#log[i]!;
      if ("balancer" in touched) balancers.add(touched.balancer);
      else addresses.add(touched.address);
    }
    const request = emptyRequest(this.networkId, false);
    for (const id of balancers) {
      const known = this.#balancers.get(id);
      if (known) request.set.push(known.balancer);
      else request.remove.push(id);
    }
    for (const address of addresses) {
      const known = this.#peers.get(address);
      if (known && known.nodeId !== nodeId) request.setPeers.push(known.peer);
      else request.removePeers.push(address);
    }
    return request;
  }

  #everything(nodeId: string): ApplyRequest {
    const request = emptyRequest(this.networkId, true);
    for (const { balancer } of this.#balancers.values()) request.set.push(balancer);
    for (const known of this.#peers.values()) if (known.nodeId !== nodeId) request.setPeers.push(known.peer);
    return request;
  }

  #note(touched: Touched): void {
    this.#onChange(this.networkId);
    this.#log.push(touched);
    if (this.#log.length <= 2 * LOG_LENGTH) return;
    this.#floor += this.#log.length - LOG_LENGTH;
    this.#log = this.#log.slice(-LOG_LENGTH);
  }
}

function emptyRequest(networkId: string, full: boolean): ApplyRequest {
  return { networkId, full, set: [], remove: [], setPeers: [], removePeers: [] };
}
