import { type Node, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Backend, Balancer, Peer, PublishedPort } from "@creel/shared/gen/engine/v1/network.ts";
import type { ChangeSet, StoreView, TaskRecord } from "../store/mod.ts";
import { NetworkPicture } from "./pictures.ts";

/** Overlay interfaces have the MAC address their IPv4 address gives. */
function macOf(address: string): string {
  const hex = address.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return `02:42:${hex.join(":")}`;
}

/** The allocator has given one. */
function isAddress(address: string): boolean {
  return address !== "" && address !== "0.0.0.0";
}

/** The networks a service is on: those it names, and ingress where it publishes ports. */
export function networksOf(service: Service): Set<string> {
  const ids = new Set(service.virtualIps.map((vip) => vip.networkId));
  for (const network of service.spec?.task?.networks ?? []) ids.add(network.target);
  return ids;
}

/** The task's name as Docker's: service.slot.id, or service.node.id in a global service. */
function taskName(task: TaskRecord): string {
  return `${task.group.serviceName}.${task.slot > 0 ? task.slot : task.nodeId}.${task.id}`;
}

/** Takes new connections: runs, is not found to be unhealthy, and is to go on. */
function takesTraffic(task: TaskRecord): boolean {
  return (
    task.state === TaskState.TASK_STATE_RUNNING &&
    task.err === "" &&
    task.desiredState === TaskState.TASK_STATE_RUNNING
  );
}

/** Has its addresses on its node: a drained task keeps them until it is at its end, its connections go on. */
function holdsAddresses(task: TaskRecord): boolean {
  return (
    task.nodeId !== "" &&
    task.state >= TaskState.TASK_STATE_ASSIGNED &&
    task.state <= TaskState.TASK_STATE_RUNNING
  );
}

/** The pictures of all overlay networks, kept true by the store's changes. */
export class Endpoints {
  readonly #pictures = new Map<string, NetworkPicture>();
  #changed = new Set<string>();

  picture(networkId: string): NetworkPicture | undefined {
    return this.#pictures.get(networkId);
  }

  /** Takes a change in; returns the networks whose picture is another now. */
  apply(changes: ChangeSet, view: StoreView): Set<string> {
    this.#changed = new Set();
    if (changes.full) this.#rebuild(view);
    else this.#update(changes, view);
    return this.#changed;
  }

  #rebuild(view: StoreView): void {
    this.#pictures.clear();
    for (const network of view.networks()) this.#add(network.id);
    for (const node of view.nodes()) {
      this.#setNode(node.id, node, view);
      this.#setAttachments(undefined, node);
    }
    for (const task of view.records()) if (holdsAddresses(task)) this.#setTask(task, view);
    for (const service of view.services()) this.#setService(service, view);
  }

  #update(changes: ChangeSet, view: StoreView): void {
    const services = new Set(changes.services.keys());
    for (const [id, { after }] of changes.networks) {
      if (!after) this.#pictures.delete(id);
      else if (!this.#pictures.has(id)) this.#add(id);
    }
    for (const [id, { before, after }] of changes.nodes) {
      this.#setNode(id, after, view);
      this.#setAttachments(before, after);
      if (before?.dataPathAddr !== after?.dataPathAddr) {
        for (const task of view.recordsOnNode(id)) this.#setTask(task, view);
      }
    }
    for (const [id, { before, after }] of changes.tasks) {
      if (after) this.#setTask(after, view);
      else if (before)
        this.#dropOwner(
          id,
          before.shapes.map((shape) => shape.networkId),
        );
      const task = after ?? before;
      if (task && (!before || !after || takesTraffic(before) !== takesTraffic(after))) {
        services.add(task.serviceId);
      }
    }
    for (const id of services) {
      const gone = changes.services.get(id)?.before;
      const service = view.service(id);
      const now = service ? networksOf(service) : new Set<string>();
      if (gone) {
        for (const network of networksOf(gone)) {
          if (!now.has(network)) this.#pictures.get(network)?.removeBalancer(id);
        }
      }
      if (service) this.#setService(service, view);
    }
  }

  #add(networkId: string): void {
    this.#pictures.set(networkId, new NetworkPicture(networkId, (id) => this.#changed.add(id)));
  }

  #setNode(id: string, node: Node | undefined, view: StoreView): void {
    for (const network of view.networks()) {
      if (!network.spec?.ingress) continue;
      const address = node?.addresses[network.id];
      const peers: Peer[] = [];
      if (node?.dataPathAddr && address) {
        peers.push({ address, mac: macOf(address), vtep: node.dataPathAddr, node: true });
      }
      this.#pictures.get(network.id)?.setPeers(id, id, peers);
    }
  }

  /** Containers that are no tasks: each lives somewhere, and is found by its own names. */
  #setAttachments(before: Node | undefined, after: Node | undefined): void {
    const now = after?.attachments ?? [];
    for (const { id, networkId } of before?.attachments ?? []) {
      if (now.some((each) => each.id === id)) continue;
      this.#dropOwner(id, [networkId]);
      this.#pictures.get(networkId)?.removeBalancer(id);
    }
    const vtep = after?.dataPathAddr ?? "";
    for (const { id, networkId, address, names } of now) {
      const picture = this.#pictures.get(networkId);
      if (!picture || vtep === "" || address === "") continue;
      picture.setPeers(id, after!.id, [{ address, mac: macOf(address), vtep, node: false }]);
      if (names.length === 0) picture.removeBalancer(id);
      else {
        const backends = [{ address, names: [] }];
        picture.setBalancer({ id, networkId, vip: "", names, backends, ports: [] });
      }
    }
  }

  #setTask(task: TaskRecord, view: StoreView): void {
    const vtep = holdsAddresses(task) ? (view.node(task.nodeId)?.dataPathAddr ?? "") : "";
    for (const { networkId, address } of task.attachments()) {
      const peers =
        vtep === "" || address === "" ? [] : [{ address, mac: macOf(address), vtep, node: false }];
      this.#pictures.get(networkId)?.setPeers(task.id, task.nodeId, peers);
    }
  }

  #dropOwner(owner: string, networks: string[]): void {
    for (const id of networks) this.#pictures.get(id)?.setPeers(owner, "", []);
  }

  #setService(service: Service, view: StoreView): void {
    const networks = networksOf(service);
    if (networks.size === 0) return;
    const serving = view.recordsOfService(service.id).filter(takesTraffic);
    for (const networkId of networks) {
      const picture = this.#pictures.get(networkId);
      if (picture) picture.setBalancer(balancerOf(service, networkId, serving, view));
    }
  }
}

function balancerOf(service: Service, networkId: string, serving: TaskRecord[], view: StoreView): Balancer {
  const ingress = view.network(networkId)?.spec?.ingress === true;
  const backends: Backend[] = [];
  for (const task of serving) {
    const address = task.attachments().find((at) => at.networkId === networkId)?.address;
    if (address && isAddress(address)) backends.push({ address, names: ingress ? [] : [taskName(task)] });
  }
  backends.sort((a, b) => (a.address < b.address ? -1 : 1));
  const attachment = service.spec?.task?.networks.find((network) => network.target === networkId);
  return {
    id: service.id,
    networkId,
    vip: service.virtualIps.find((vip) => vip.networkId === networkId)?.address ?? "",
    names: ingress ? [] : [service.spec!.name, ...(attachment?.aliases ?? [])],
    backends,
    ports: ingress ? publishedPorts(service) : [],
  };
}

function publishedPorts(service: Service): PublishedPort[] {
  return service.ports
    .filter((port) => port.publishMode !== "host" && port.publishedPort !== 0)
    .map(({ publishedPort, targetPort, protocol }) => ({
      publishedPort,
      targetPort,
      protocol: protocol || "tcp",
    }));
}
