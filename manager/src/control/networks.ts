import { CreelError, newId } from "@creel/shared";
import type { Network, NetworkSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { attachedTo, contains, overlaps, parseCidr, parseIp, type StoreView } from "../store/mod.ts";
import type { Change, ControlContext } from "./change.ts";
import { checkName, invalid } from "./names.ts";

/** A network as it is before the allocator gave it its number and addresses. */
export function newNetwork(id: string, spec: NetworkSpec): Network {
  return { id, meta: undefined, spec, vni: 0, subnet: "", gateway: "" };
}

/** A new overlay network. */
export function createNetwork(spec: NetworkSpec, { view, random }: ControlContext): Change {
  checkName(spec.name);
  const driver = spec.driver || "overlay";
  if (driver !== "overlay") {
    throw invalid(`network driver ${driver} cannot span a cluster: use overlay`);
  }
  if (view.networkByName(spec.name)) throw new CreelError("network_name_taken", { name: spec.name });
  if (spec.ingress) checkIngress(spec, view);
  checkAddresses(spec, view);
  const network = newNetwork(newId(random), { ...spec, driver });
  return {
    actions: [{ kind: { $case: "putNetwork", value: { network } } }],
    id: network.id,
    warnings: [],
  };
}

/** Takes a network away that nothing uses. */
export function removeNetwork(id: string, { view }: ControlContext): Change {
  const network = view.network(id);
  if (!network) throw new CreelError("no_such_network", { id });
  for (const service of view.services()) {
    const named = service.spec?.task?.networks.some((at) => at.target === id);
    const publishes =
      network.spec?.ingress && service.spec?.endpoint?.ports.some((p) => p.publishMode !== "host");
    if (named || publishes)
      throw new CreelError("swarm_network_in_use", { id, user: `service ${service.id}` });
  }
  const attached = attachedTo(view.nodes(), id);
  if (attached) throw new CreelError("network_attached", attached);
  return { actions: [{ kind: { $case: "removeNetwork", value: id } }], id, warnings: [] };
}

function checkIngress(spec: NetworkSpec, view: StoreView): void {
  const known = view.ingressNetwork();
  if (known) {
    throw new CreelError("name_in_use", {
      message: `ingress network (${known.spec!.name}) is already present`,
    });
  }
  if (spec.attachable) throw invalid("ingress network cannot be attachable");
}

function checkAddresses(spec: NetworkSpec, view: StoreView): void {
  if (spec.subnet === "") {
    if (spec.gateway !== "") throw invalid(`gateway ${spec.gateway} needs a subnet`);
    return;
  }
  const range = parseCidr(spec.subnet);
  if (!range) throw invalid(`invalid subnet ${spec.subnet}: an IPv4 CIDR is needed, such as 10.0.9.0/24`);
  if (range.size > 29) throw invalid(`subnet ${spec.subnet} is too small: at most /29`);
  if (spec.gateway !== "") {
    const gateway = parseIp(spec.gateway);
    if (gateway === undefined || !contains(range, gateway)) {
      throw invalid(`gateway ${spec.gateway} is not in the subnet ${spec.subnet}`);
    }
  }
  for (const other of view.networks()) {
    const taken = parseCidr(other.subnet || (other.spec?.subnet ?? ""));
    if (taken && overlaps(range, taken)) {
      throw new CreelError("conflict", {
        message: `Pool overlaps with other one on this address space: ${spec.subnet} and network ${other.spec!.name} (${other.subnet || other.spec!.subnet})`,
      });
    }
  }
}
