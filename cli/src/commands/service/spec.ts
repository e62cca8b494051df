import { invalid } from "../../invalid.ts";
import type { Port } from "../options.ts";
import { pairs } from "../words.ts";
import { changedByKey, changedList, changedMap, merge, merged } from "./changes.ts";
import { changedReferences } from "./references.ts";
import { container } from "./spec-container.ts";
import type { SpecOptions } from "./spec-options.ts";
import type { Attachment, PortConfig, ServiceSpec } from "./types.ts";

/** Finds the id of an object by its name. */
export type FindId = (kind: "networks" | "secrets" | "configs", name: string) => Promise<string>;

/** Writes what was asked for into a spec; what was not asked for stays. */
export async function apply(spec: ServiceSpec, o: SpecOptions, idOf: FindId): Promise<ServiceSpec> {
  const task: ServiceSpec["TaskTemplate"] = {
    ...spec.TaskTemplate,
    ContainerSpec: {
      ...container(spec.TaskTemplate.ContainerSpec, o),
      ...(await referencesOf(spec.TaskTemplate.ContainerSpec, o, idOf)),
    },
  };
  merge(task, "Resources", {
    Limits: merged(task.Resources, "Limits", {
      NanoCPUs: o.limitCpu,
      MemoryBytes: o.limitMemory,
      Pids: o.limitPids,
    }),
    Reservations: merged(task.Resources, "Reservations", {
      NanoCPUs: o.reserveCpu,
      MemoryBytes: o.reserveMemory,
      GenericResources: genericOf(task.Resources, o),
    }),
  });
  merge(task, "RestartPolicy", {
    Condition: o.restartCondition,
    Delay: o.restartDelay,
    MaxAttempts: o.restartMaxAttempts,
    Window: o.restartWindow,
  });
  merge(task, "Placement", {
    Constraints: changedList(task.Placement?.Constraints, o.constraint, o.constraintAdd, o.constraintRm),
    Preferences: changedByKey(
      o.placementPref ? undefined : task.Placement?.Preferences,
      (o.placementPref ?? o.placementPrefAdd)?.map(preference),
      o.placementPrefRm?.map((text) => preference(text).Spread.SpreadDescriptor),
      ({ Spread }) => Spread.SpreadDescriptor,
    ),
    MaxReplicas: o.replicasMaxPerNode,
  });
  merge(task, "LogDriver", { Name: o.logDriver, Options: o.logOpt && pairs(o.logOpt) });
  const networks = await networksOf(task.Networks, o, (name) => idOf("networks", name));
  if (networks !== undefined) task.Networks = networks;
  if (o.force) task.ForceUpdate = (task.ForceUpdate ?? 0) + 1;

  const result: ServiceSpec = { ...spec, TaskTemplate: task };
  const labels = changedMap(spec.Labels, o.label ?? o.labelAdd, o.labelRm);
  if (labels !== undefined) result.Labels = labels;
  if (o.replicas !== undefined) result.Mode = replicated(spec.Mode, o.replicas);
  if (o.maxConcurrent !== undefined) result.Mode = concurrent(result.Mode, o.maxConcurrent);
  for (const [key, name] of [
    ["UpdateConfig", "update"],
    ["RollbackConfig", "rollback"],
  ] as const) {
    merge(result, key, {
      Parallelism: o[`${name}Parallelism`],
      Delay: o[`${name}Delay`],
      Order: o[`${name}Order`],
      FailureAction: o[`${name}FailureAction`],
      Monitor: o[`${name}Monitor`],
      MaxFailureRatio: o[`${name}MaxFailureRatio`],
    });
  }
  merge(result, "EndpointSpec", { Ports: portsOf(spec.EndpointSpec?.Ports, o), Mode: o.endpointMode });
  return result;
}

async function referencesOf(
  { Secrets, Configs }: ServiceSpec["TaskTemplate"]["ContainerSpec"],
  o: SpecOptions,
  idOf: FindId,
) {
  const secrets = await changedReferences(
    Secrets,
    o.secret ?? o.secretAdd,
    o.secretRm,
    ({ SecretName }) => SecretName,
    async ({ source, file }) => ({
      File: file,
      SecretID: await idOf("secrets", source),
      SecretName: source,
    }),
  );
  const configs = await changedReferences(
    Configs,
    o.config ?? o.configAdd,
    o.configRm,
    ({ ConfigName }) => ConfigName,
    async ({ source, file }) => ({
      File: file,
      ConfigID: await idOf("configs", source),
      ConfigName: source,
    }),
  );
  return { ...(secrets && { Secrets: secrets }), ...(configs && { Configs: configs }) };
}

function replicated(mode: ServiceSpec["Mode"], replicas: number): ServiceSpec["Mode"] {
  if (mode.Global || mode.GlobalJob)
    throw invalid("replicas can only be used with replicated or replicated-job mode");
  if (!mode.ReplicatedJob) return { Replicated: { Replicas: replicas } };
  return { ReplicatedJob: { ...mode.ReplicatedJob, TotalCompletions: replicas } };
}

function concurrent(mode: ServiceSpec["Mode"], most: number): ServiceSpec["Mode"] {
  if (!mode.ReplicatedJob) throw invalid("max-concurrent can only be used with replicated-job mode");
  return { ReplicatedJob: { ...mode.ReplicatedJob, MaxConcurrent: most } };
}

interface Generic {
  DiscreteResourceSpec: { Kind: string; Value: number };
}

function genericOf(resources: unknown, o: SpecOptions): Generic[] | undefined {
  const before = (resources as { Reservations?: { GenericResources?: Generic[] } } | undefined)?.Reservations;
  const added = (o.genericResource ?? o.genericResourceAdd)?.map((text) => {
    const [, Kind, n] = /^([^=]+)=(\d+)$/.exec(text) ?? [];
    if (Kind === undefined) throw invalid(`invalid generic resource "${text}": KIND=NUMBER`);
    return { DiscreteResourceSpec: { Kind, Value: Number(n) } };
  });
  const removed = o.genericResourceRm?.map((text) => text.split("=")[0]!);
  return changedByKey(before?.GenericResources, added, removed, (each) => each.DiscreteResourceSpec.Kind);
}

async function networksOf(
  before: Attachment[] | undefined,
  o: SpecOptions,
  networkId: (name: string) => Promise<string>,
): Promise<Attachment[] | undefined> {
  const added = (o.network ?? o.networkAdd)?.map(attachment);
  const byId = async (each: Attachment) => ({ ...each, Target: await networkId(each.Target) });
  return changedByKey(
    before,
    added && (await Promise.all(added.map(byId))),
    o.networkRm && (await Promise.all(o.networkRm.map(networkId))),
    ({ Target }) => Target,
  );
}

/** A network's name, or `name=NETWORK,alias=NAME,driver-opt=KEY=VALUE`. */
function attachment(text: string): Attachment {
  if (!text.includes("=")) return { Target: text };
  const found: Attachment = { Target: "" };
  for (const field of text.split(",")) {
    const [key, value = ""] = field.split(/=(.*)/s) as [string, string?];
    if (key === "name") found.Target = value;
    else if (key === "alias") found.Aliases = [...(found.Aliases ?? []), value];
    else if (key === "driver-opt") found.DriverOpts = { ...found.DriverOpts, ...pairs([value]) };
    else throw invalid(`invalid field key ${key} in network "${text}": name, alias or driver-opt`);
  }
  if (found.Target === "") throw invalid(`network name is not set in "${text}"`);
  return found;
}

function portsOf(before: PortConfig[] | undefined, o: SpecOptions): PortConfig[] | undefined {
  if (o.publish === undefined && o.publishAdd === undefined && o.publishRm === undefined) return undefined;
  const hits = (port: Port) => (each: PortConfig) =>
    each.TargetPort === port.target && each.Protocol === port.protocol;
  const kept = (before ?? []).filter((each) => !(o.publishRm ?? []).some((port) => hits(port)(each)));
  const added = (o.publish ?? o.publishAdd ?? []).flatMap(each).map((port) => ({
    Protocol: port.protocol,
    TargetPort: port.target,
    ...(port.published > 0 && { PublishedPort: port.published }),
    PublishMode: port.mode,
  }));
  return [...kept, ...added];
}

function preference(text: string): { Spread: { SpreadDescriptor: string } } {
  const [strategy, value] = text.split(/=(.*)/s);
  if (strategy !== "spread" || !value)
    throw invalid(`placement preference "${text}": only spread=NAME is known`);
  return { Spread: { SpreadDescriptor: value } };
}

/** A range of published ports for one target: each of them. */
function each(port: Port): Port[] {
  const { publishedEnd = port.published, ...one } = port;
  return Array.from({ length: publishedEnd - port.published + 1 }, (_, i) => ({
    ...one,
    published: port.published + i,
  }));
}
