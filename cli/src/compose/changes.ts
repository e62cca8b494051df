import { CreelError } from "@creel/shared/errors";
import { differences } from "./canonical.ts";
import type { FileReference, FileSpec, NetworkSpec, StackServiceSpec, StackSpecs } from "./convert/specs.ts";
import { IMAGE } from "./convert/specs.ts";

/** A service that the cluster has. */
export interface CurrentService {
  ID: string;
  Version: { Index: number };
  Spec: StackServiceSpec;
}
/** A secret or config that the cluster has; a secret's data is not told. */
export interface CurrentFile {
  ID: string;
  Version: { Index: number };
  Spec: FileSpec;
}

/** What the cluster has: the stack's own services, and all networks, secrets and configs. */
export interface StackObjects {
  services: CurrentService[];
  networks: { Id: string; Name: string; Scope: string }[];
  secrets: CurrentFile[];
  configs: CurrentFile[];
}

/** One thing to do for the cluster to become as the files say. */
export type Change =
  | { action: "create"; kind: "network"; name: string; spec: NetworkSpec }
  | { action: "create"; kind: "secret" | "config"; name: string; spec: FileSpec }
  | { action: "update"; kind: "secret" | "config"; name: string; spec: FileSpec; current: CurrentFile }
  | {
      /** Nothing to do, unless its data is another: which the cluster knows, and refuses. */
      action: "compare";
      kind: "secret";
      name: string;
      spec: FileSpec;
      current: CurrentFile;
    }
  | { action: "create"; kind: "service"; name: string; spec: StackServiceSpec }
  | {
      action: "update";
      kind: "service";
      name: string;
      spec: StackServiceSpec;
      current: CurrentService;
      /** The parts of its spec that change. */
      fields: string[];
    }
  | { action: "remove"; kind: "service"; name: string; current: CurrentService };

/**
 * What must be done, in this order, for the cluster to become as `wanted` says; nothing where it is so. Throws when
 * something that is external is missing, or a change is asked for that cannot be made. References to secrets and configs
 * have their ids where these exist already: {@link withIds} fills in those of what is made before.
 */
export function stackChanges(
  wanted: StackSpecs,
  current: StackObjects,
  o: { prune?: boolean } = {},
): Change[] {
  checkExternal(wanted, current);
  const services = new Map(current.services.map((service) => [service.Spec.Name, service]));
  const names = new Set(wanted.services.map(({ Name }) => Name));
  const networks = new Set(current.networks.map(({ Name }) => Name));
  const secrets = wanted.secrets.flatMap((spec) => fileChange("secret", spec, current.secrets));
  return [
    ...secrets.filter(({ action }) => action === "compare"),
    ...(o.prune ? current.services.filter(({ Spec }) => !names.has(Spec.Name)) : []).map(
      (service): Change => ({ action: "remove", kind: "service", name: service.Spec.Name, current: service }),
    ),
    ...wanted.networks
      .filter(({ Name }) => !networks.has(Name))
      .map((spec): Change => ({ action: "create", kind: "network", name: spec.Name, spec })),
    ...secrets.filter(({ action }) => action !== "compare"),
    ...wanted.configs.flatMap((spec) => fileChange("config", spec, current.configs)),
    ...wanted.services.flatMap((spec) => serviceChange(spec, services.get(spec.Name), current)),
  ];
}

function checkExternal({ external }: StackSpecs, current: StackObjects): void {
  const missing = (kind: string, name: string) =>
    new CreelError("invalid_parameter", {
      message: `${kind} "${name}" is declared as external, but could not be found: create it before the stack`,
    });
  for (const name of external.networks) {
    if (["host", "bridge", "none"].includes(name)) continue;
    const found = current.networks.filter((network) => network.Name === name);
    if (found.length === 0) throw missing("network", name);
    if (!found.some(({ Scope }) => Scope === "swarm"))
      throw new CreelError("invalid_parameter", {
        message: `network "${name}" is declared as external, but it is of this node alone: create it with --driver overlay`,
      });
  }
  for (const [kind, plural] of [
    ["secret", "secrets"],
    ["config", "configs"],
  ] as const)
    for (const name of external[plural])
      if (!current[plural].some(({ Spec }) => Spec.Name === name)) throw missing(kind, name);
}

function fileChange(kind: "secret" | "config", spec: FileSpec, all: CurrentFile[]): Change[] {
  const current = all.find(({ Spec }) => Spec.Name === spec.Name);
  if (current === undefined) return [{ action: "create", kind, name: spec.Name, spec }];
  if (kind === "config" && current.Spec.Data !== spec.Data)
    throw new CreelError("invalid_parameter", {
      message: `config ${spec.Name} has other data than the file: give it a new name, or use creel config rotate`,
    });
  const same = differences(spec.Labels, current.Spec.Labels ?? {}).length === 0;
  if (!same) return [{ action: "update", kind, name: spec.Name, spec, current }];
  // an answer never has a secret's data
  return kind === "secret" ? [{ action: "compare", kind, name: spec.Name, spec, current }] : [];
}

function serviceChange(
  wanted: StackServiceSpec,
  current: CurrentService | undefined,
  objects: StackObjects,
): Change[] {
  const spec = withIds(wanted, objects);
  if (current === undefined) return [{ action: "create", kind: "service", name: spec.Name, spec }];
  const { ForceUpdate = 0, ContainerSpec: now } = current.Spec.TaskTemplate;
  const { Image } = spec.TaskTemplate.ContainerSpec;
  const target: StackServiceSpec = {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ForceUpdate,
      // the same image was named before, and has been pinned to its digest since
      ContainerSpec: {
        ...spec.TaskTemplate.ContainerSpec,
        Image: current.Spec.Labels?.[IMAGE] === spec.Labels[IMAGE] ? now.Image : Image,
      },
    },
  };
  const names = new Map(objects.networks.map(({ Id, Name }) => [Id, Name]));
  const fields = differences(named(target, names), named(current.Spec, names));
  if (fields.length === 0) return [];
  return [{ action: "update", kind: "service", name: spec.Name, spec: target, current, fields }];
}

/** Networks by name, in the order of names. */
function named(spec: StackServiceSpec, names: ReadonlyMap<string, string>): StackServiceSpec {
  const networks = (spec.TaskTemplate.Networks ?? []).map((use) => ({
    ...use,
    Target: names.get(use.Target) ?? use.Target,
  }));
  networks.sort((a, b) => (a.Target < b.Target ? -1 : 1));
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks: networks } };
}

/** The spec with the ids of the secrets and configs that it names, as far as they exist. */
export function withIds(
  spec: StackServiceSpec,
  { secrets, configs }: Pick<StackObjects, "secrets" | "configs">,
): StackServiceSpec {
  const idIn = (all: CurrentFile[], name: string | undefined) =>
    all.find(({ Spec }) => Spec.Name === name)?.ID;
  const fill = (use: FileReference): FileReference => {
    const secret = idIn(secrets, use.SecretName);
    const config = idIn(configs, use.ConfigName);
    return { ...use, ...(secret && { SecretID: secret }), ...(config && { ConfigID: config }) };
  };
  const container = { ...spec.TaskTemplate.ContainerSpec };
  if (container.Secrets) container.Secrets = container.Secrets.map(fill);
  if (container.Configs) container.Configs = container.Configs.map(fill);
  const credential = container.Privileges?.CredentialSpec;
  if (credential?.Config) {
    const Config = idIn(configs, credential.Config) ?? credential.Config;
    container.Privileges = { CredentialSpec: { ...credential, Config } };
  }
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: container } };
}

/** The spec without secrets and configs that have no id yet. */
export function withoutUnknown(spec: StackServiceSpec): StackServiceSpec {
  const container = { ...spec.TaskTemplate.ContainerSpec };
  if (container.Secrets)
    container.Secrets = container.Secrets.filter(({ SecretID }) => SecretID !== undefined);
  if (container.Configs)
    container.Configs = container.Configs.filter(({ ConfigID }) => ConfigID !== undefined);
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: container } };
}
