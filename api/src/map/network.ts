import { CreelError } from "@creel/shared";
import { Network as LocalNetwork } from "@creel/shared/gen/engine/v1/network.ts";
import { type Network, NetworkSpec } from "../cluster.ts";
import { fromMillis, fromNanos } from "../http/time.ts";
import type { NetworkCreate } from "../schema/swarm.ts";

/** A network as Docker writes it. */
export interface DockerNetwork {
  Name: string;
  Id: string;
  Created: string;
  Scope: string;
  Driver: string;
  EnableIPv4: boolean;
  EnableIPv6: boolean;
  IPAM: { Driver: string; Options: null; Config: { Subnet: string; Gateway?: string; IPRange?: string }[] };
  Internal: boolean;
  Attachable: boolean;
  Ingress: boolean;
  ConfigFrom: { Network: string };
  ConfigOnly: boolean;
  Containers: Record<string, unknown>;
  Options: Record<string, string>;
  Labels: Record<string, string>;
}

const fixed = { EnableIPv4: true, EnableIPv6: false, ConfigFrom: { Network: "" }, ConfigOnly: false };

/** A network of this node. */
export function toLocal(network: LocalNetwork): DockerNetwork {
  const range = network.ipRange === "" ? {} : { IPRange: network.ipRange };
  const gateway = network.gateway === "" ? {} : { Gateway: network.gateway };
  return {
    Name: network.name,
    Id: network.id,
    Created: fromNanos(network.createdNanos),
    Scope: network.scope || (network.driver === "overlay" ? "swarm" : "local"),
    Driver: network.driver === "none" ? "null" : network.driver,
    ...fixed,
    IPAM: {
      Driver: "default",
      Options: null,
      Config: network.subnet === "" ? [] : [{ Subnet: network.subnet, ...range, ...gateway }],
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: network.ingress,
    Containers: Object.fromEntries(
      network.endpoints.map((endpoint, i) => [
        network.endpointContainerIds[i] ?? endpoint.id,
        {
          Name: network.endpointNames[i] ?? "",
          EndpointID: endpoint.id,
          MacAddress: endpoint.mac,
          IPv4Address: endpoint.address === "" ? "" : `${endpoint.address}/${endpoint.prefixLength}`,
          IPv6Address: "",
        },
      ]),
    ),
    Options: network.options,
    Labels: network.labels,
  };
}

/** A network of the cluster; its containers are known where they run. */
export function toOverlay(network: Network): DockerNetwork {
  const { spec } = network;
  const gateway = network.gateway === "" ? {} : { Gateway: network.gateway };
  const vni: Record<string, string> =
    network.vni === 0 ? {} : { "com.docker.network.driver.overlay.vxlanid_list": String(network.vni) };
  return {
    Name: spec?.name ?? "",
    Id: network.id,
    Created: fromMillis(network.meta?.createdAt ?? 0),
    Scope: "swarm",
    Driver: spec?.driver || "overlay",
    ...fixed,
    IPAM: {
      Driver: "default",
      Options: null,
      Config: network.subnet === "" ? [] : [{ Subnet: network.subnet, ...gateway }],
    },
    Internal: spec?.internal ?? false,
    Attachable: spec?.attachable ?? false,
    Ingress: spec?.ingress ?? false,
    Containers: {},
    Options: { ...vni, ...spec?.options },
    Labels: spec?.labels ?? {},
  };
}

/** Checks what a body of POST /networks/create may not ask for, and names the address range it wishes. */
function wishes(body: NetworkCreate): { subnet: string; gateway: string; ipRange: string } {
  const no = (code: "unsupported" | "invalid_parameter", message: string) =>
    new CreelError(code, { message });
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(body.Name ?? "")) {
    throw new CreelError("invalid_name", { name: body.Name || '""' });
  }
  if (body.EnableIPv6) throw no("unsupported", "IPv6 networks are not supported by this version of Creel");
  if (body.ConfigOnly || body.ConfigFrom?.Network)
    throw no("unsupported", "config-only networks are not supported");
  if (body.IPAM?.Driver && body.IPAM.Driver !== "default") {
    throw no(
      "unsupported",
      `the IPAM driver ${body.IPAM.Driver} is not supported; leave it to the default one`,
    );
  }
  const config = body.IPAM?.Config ?? [];
  if (config.length > 1) throw no("unsupported", "a network has one IPv4 subnet; more than one was given");
  const [{ Subnet, Gateway, IPRange } = {}] = config;
  if (Gateway && !Subnet) throw no("invalid_parameter", "a gateway needs the subnet that it lies in");
  return { subnet: Subnet ?? "", gateway: Gateway ?? "", ipRange: IPRange ?? "" };
}

/** The engine's network for a body of POST /networks/create. */
export function fromLocalCreate(body: NetworkCreate): LocalNetwork {
  return LocalNetwork.fromPartial({
    name: body.Name ?? "",
    driver: body.Driver || "bridge",
    ...wishes(body),
    internal: body.Internal ?? false,
    attachable: body.Attachable ?? false,
    labels: body.Labels ?? {},
    options: body.Options ?? {},
    mtu: Number(body.Options?.["com.docker.network.driver.mtu"] ?? 0) || 0,
    scope: "local",
  });
}

/** The cluster's network for a body of POST /networks/create. */
export function fromOverlayCreate(body: NetworkCreate): NetworkSpec {
  const { subnet, gateway } = wishes(body);
  return NetworkSpec.fromPartial({
    name: body.Name ?? "",
    driver: "overlay",
    labels: body.Labels ?? {},
    options: body.Options ?? {},
    internal: body.Internal ?? false,
    attachable: body.Attachable ?? false,
    ingress: body.Ingress ?? false,
    subnet,
    gateway,
  });
}
