import type { Loaded } from "../load.ts";
import type { FileObject, Model, Network } from "../model.ts";
import { type Names, serviceSpec } from "./service.ts";
import { type FileSpec, NAMESPACE, type NetworkSpec, type StackSpecs } from "./specs.ts";

/** What a loaded stack asks of the cluster, under the name `name`. */
export function stackSpecs(name: string, { model, contents }: Loaded): StackSpecs {
  const labels = (own: Record<string, string> = {}) => ({ ...own, [NAMESPACE]: name });
  const names: Names = {
    stack: name,
    labels,
    of: (kind, key) => model[kind][key]?.name ?? `${name}_${key}`,
  };
  const networks = usedNetworks(model);
  const own = networks.filter((key) => !model.networks[key]?.external);
  const files = (kind: "secrets" | "configs") =>
    Object.entries(model[kind])
      .filter(([, object]) => !object.external)
      .map(([key, object]) => fileSpec(names.of(kind, key), object, contents[kind].get(key)!, labels));
  return {
    name,
    networks: own.map((key) => networkSpec(names.of("networks", key), model.networks[key] ?? {}, labels)),
    secrets: files("secrets"),
    configs: files("configs"),
    services: Object.entries(model.services)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, service]) => serviceSpec(key, service, model, names)),
    external: {
      networks: networks
        .filter((key) => model.networks[key]?.external)
        .map((key) => externalName(model.networks, key)),
      secrets: externals(model.secrets),
      configs: externals(model.configs),
    },
  };
}

/** The keys of networks that services are on; a service that names none is on `default`. */
function usedNetworks({ services }: Model): string[] {
  const used = new Set<string>();
  for (const { networks = {} } of Object.values(services)) {
    const keys = Object.keys(networks);
    for (const key of keys.length > 0 ? keys : ["default"]) used.add(key);
  }
  return [...used].sort();
}

const externalName = (objects: Record<string, { name?: string }>, key: string) => objects[key]?.name ?? key;

function externals(objects: Record<string, FileObject>): string[] {
  return Object.keys(objects)
    .filter((key) => objects[key]!.external)
    .map((key) => externalName(objects, key));
}

function networkSpec(name: string, network: Network, labels: Names["labels"]): NetworkSpec {
  const { driver, driver_opts, internal, attachable, ipam } = network;
  const config = ipam?.config?.map(({ subnet, gateway }) => ({
    ...(subnet !== undefined && { Subnet: subnet }),
    ...(gateway !== undefined && { Gateway: gateway }),
  }));
  return {
    Name: name,
    Driver: driver ?? "overlay",
    Labels: labels(network.labels),
    ...(driver_opts && { Options: driver_opts }),
    ...(internal && { Internal: true }),
    ...(attachable && { Attachable: true }),
    ...(network.enable_ipv6 && { EnableIPv6: true }),
    ...(ipam && {
      IPAM: { ...(ipam.driver !== undefined && { Driver: ipam.driver }), ...(config && { Config: config }) },
    }),
  };
}

function fileSpec(name: string, object: FileObject, data: Buffer, labels: Names["labels"]): FileSpec {
  const { driver, driver_opts, template_driver } = object;
  return {
    Name: name,
    Labels: labels(object.labels),
    ...(driver === undefined && { Data: data.toString("base64") }),
    ...(driver !== undefined && { Driver: { Name: driver, ...(driver_opts && { Options: driver_opts }) } }),
    ...(template_driver !== undefined && { Templating: { Name: template_driver } }),
  };
}
