import { isDeepStrictEqual } from "node:util";
import type {
  Action,
  AllocateNetwork,
  AttachmentAddress,
  TaskAllocation,
  TaskAssignment,
} from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  type NodeAttachment,
  type Service,
  type TaskAttachment,
  TaskState,
  type VirtualIp,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { type ChangeSet, formatIp, isWanted, type StoreView, type TaskRecord } from "../../store/mod.ts";
import { inBatches } from "../actions.ts";
import type { Loop } from "../loop.ts";
import { touchedServices } from "../slots.ts";
import { AddressBook } from "./address-book.ts";
import { allocateNetworks } from "./networks.ts";
import { isIngress, PortBook } from "./ports.ts";

/** Gives networks their numbers and subnets, services VIPs and published ports, nodes and tasks their addresses. */
export function allocator(): Loop {
  const book = new AddressBook();
  return (view, changed) => {
    book.sync(view, changed);
    return { actions: new Round(view, book).run(changed) };
  };
}

/** One pass over what needs something; what one step gives, the next ones see already. */
class Round {
  private readonly view: StoreView;
  private readonly book: AddressBook;
  private readonly ports: PortBook;
  private readonly subnets = new Map<string, string>();
  private readonly ingress: string | undefined;

  constructor(view: StoreView, book: AddressBook) {
    this.view = view;
    this.book = book;
    this.ports = new PortBook(view);
    this.ingress = view.ingressNetwork()?.id;
    for (const network of view.networks())
      if (network.subnet !== "") this.subnets.set(network.id, network.subnet);
  }

  run(changed: ChangeSet): Action[] {
    const networks = allocateNetworks(this.view);
    for (const network of networks) this.openNetwork(network);
    const actions: Action[] = networks.map((value) => ({ kind: { $case: "allocateNetwork", value } }));
    if (networks.length > 0 || changed.full || changed.nodes.size > 0)
      actions.push(...this.nodes(), ...this.attachments());

    const fresh = this.view.recordsInState(TaskState.TASK_STATE_NEW).filter(isWanted);
    const touched = touchedServices(this.view, changed);
    if (networks.length > 0) for (const { id } of this.view.services()) touched.add(id);
    for (const task of fresh) touched.add(task.serviceId);
    const failures = new Map<string, string>();
    for (const id of touched) {
      const service = this.view.service(id);
      if (!service) continue;
      const result = this.service(service);
      if (typeof result === "string") failures.set(id, result);
      else if (result) actions.push(result);
    }
    actions.push(...this.tasks(fresh, failures));
    return actions;
  }

  private openNetwork({ networkId, subnet, gateway }: AllocateNetwork) {
    this.subnets.set(networkId, subnet);
    this.book.reserve(networkId, gateway);
  }

  private nodes(): Action[] {
    const id = this.ingress;
    if (id === undefined || !this.subnets.has(id)) return [];
    const actions: Action[] = [];
    for (const node of this.view.nodes()) {
      if (node.addresses[id]) continue;
      const address = this.take(id);
      if (address === undefined) break;
      const addresses = { ...node.addresses, [id]: address };
      actions.push({ kind: { $case: "allocateNode", value: { nodeId: node.id, addresses } } });
    }
    return actions;
  }

  /** Addresses for containers that are no tasks; one that there was none for is tried again. */
  private attachments(): Action[] {
    const actions: Action[] = [];
    for (const { id: nodeId, attachments } of this.view.nodes()) {
      const addresses: AttachmentAddress[] = [];
      for (const wanted of attachments) {
        if (wanted.address !== "") continue;
        const { address, err } = this.place(wanted);
        if (address !== "" || err !== wanted.err) addresses.push({ id: wanted.id, address, err });
      }
      if (addresses.length > 0)
        actions.push({ kind: { $case: "allocateAttachments", value: { nodeId, addresses } } });
    }
    return actions;
  }

  private place({ networkId, wishedAddress }: NodeAttachment): { address: string; err: string } {
    if (wishedAddress === "") {
      const address = this.take(networkId);
      return address === undefined ? { address: "", err: this.noAddress(networkId) } : { address, err: "" };
    }
    const subnet = this.subnets.get(networkId) ?? "";
    return this.book.claim(networkId, subnet, wishedAddress)
      ? { address: wishedAddress, err: "" }
      : { address: "", err: `address ${wishedAddress} is taken, or not of the network (${subnet})` };
  }

  /** What the service still needs; a text when it cannot be had. */
  private service(service: Service): Action | string | undefined {
    const virtualIps: VirtualIp[] = [];
    const withVip = service.spec?.endpoint?.mode === "dnsrr" ? [] : this.networksOf(service);
    for (const networkId of withVip) {
      const had = service.virtualIps.find((v) => v.networkId === networkId)?.address;
      const address = had ?? this.take(networkId);
      if (address === undefined) return this.noAddress(networkId);
      virtualIps.push({ networkId, address });
    }
    const ports = this.ports.portsOf(service);
    if (!ports) return "no published port is left";
    if (isDeepStrictEqual(virtualIps, service.virtualIps) && isDeepStrictEqual(ports, service.ports))
      return undefined;
    return { kind: { $case: "allocateService", value: { serviceId: service.id, virtualIps, ports } } };
  }

  private tasks(fresh: TaskRecord[], failures: Map<string, string>): Action[] {
    const ready: TaskAllocation[] = [];
    const stuck: TaskAssignment[] = [];
    for (const task of fresh) {
      const service = this.view.service(task.serviceId);
      if (!service) continue;
      const result = failures.get(service.id) ?? this.attach(service, task);
      if (typeof result !== "string") ready.push({ taskId: task.id, attachments: result });
      else if (result !== task.err)
        stuck.push({ taskId: task.id, nodeId: "", err: result, genericResources: [] });
    }
    return [
      ...inBatches(ready).map((tasks): Action => ({ kind: { $case: "allocateTasks", value: { tasks } } })),
      ...inBatches(stuck).map((tasks): Action => ({ kind: { $case: "assignTasks", value: { tasks } } })),
    ];
  }

  private attach(service: Service, task: TaskRecord): TaskAttachment[] | string {
    const attachments: TaskAttachment[] = [];
    const wished = task.spec.networks.map((n) => ({ networkId: n.target, aliases: n.aliases }));
    if (this.ingress !== undefined && usesIngress(service))
      wished.push({ networkId: this.ingress, aliases: [] });
    for (const { networkId, aliases } of wished) {
      const address = this.take(networkId);
      if (address === undefined) return this.noAddress(networkId);
      attachments.push({ networkId, address, aliases });
    }
    return attachments;
  }

  private networksOf(service: Service): string[] {
    const ids = new Set(service.spec?.task?.networks.map((n) => n.target));
    if (this.ingress !== undefined && usesIngress(service)) ids.add(this.ingress);
    return [...ids];
  }

  private take(networkId: string): string | undefined {
    const subnet = this.subnets.get(networkId);
    const address = subnet === undefined ? undefined : this.book.take(networkId, subnet);
    return address === undefined ? undefined : formatIp(address);
  }

  private noAddress(networkId: string): string {
    const network = this.view.network(networkId);
    if (!network) return `network ${networkId} not found`;
    const subnet = this.subnets.get(networkId);
    const name = network.spec?.name ?? networkId;
    return subnet
      ? `no address is left on network ${name} (${subnet})`
      : `no subnet is left for network ${name}`;
  }
}

function usesIngress(service: Service): boolean {
  return service.spec?.endpoint?.ports.some(isIngress) ?? false;
}
