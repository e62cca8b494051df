import { readFileSync } from "node:fs";
import { invalid } from "../../invalid.ts";
import { mount } from "../mounts.ts";
import type { Port } from "../options.ts";
import { environment, fileLines, pairs } from "../words.ts";
import { argv } from "./argv.ts";
import type { SpecOptions } from "./spec-options.ts";
import type { PortConfig, ServiceSpec } from "./types.ts";

type Fields = Record<string, unknown>;

/** Writes what was asked for into a spec; what was not asked for stays. `networkId` finds a network by name. */
export async function apply(
  spec: ServiceSpec,
  o: SpecOptions,
  networkId: (name: string) => Promise<string>,
): Promise<ServiceSpec> {
  const task: ServiceSpec["TaskTemplate"] = {
    ...spec.TaskTemplate,
    ContainerSpec: container(spec.TaskTemplate.ContainerSpec, o),
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
    Preferences: o.placementPref?.map(preference),
    MaxReplicas: o.replicasMaxPerNode,
  });
  merge(task, "LogDriver", { Name: o.logDriver, Options: o.logOpt && pairs(o.logOpt) });
  const networks = await networksOf(task.Networks, o, networkId);
  if (networks !== undefined) task.Networks = networks;
  if (o.force) task.ForceUpdate = (task.ForceUpdate ?? 0) + 1;

  const result: ServiceSpec = { ...spec, TaskTemplate: task };
  const labels = changedMap(spec.Labels, o.label ?? o.labelAdd, o.labelRm);
  if (labels !== undefined) result.Labels = labels;
  if (o.replicas !== undefined) result.Mode = replicated(spec.Mode, o.replicas);
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

function container(before: ServiceSpec["TaskTemplate"]["ContainerSpec"], o: SpecOptions) {
  const result = { ...before };
  const env = changedEnv(
    before.Env,
    [...(fromFiles(o.envFile) ?? []), ...(o.env ?? o.envAdd ?? [])],
    o.envRm,
  );
  const values: Fields = {
    Image: o.image,
    Env: env,
    Labels: changedMap(before.Labels, o.containerLabel ?? o.containerLabelAdd, o.containerLabelRm),
    Hostname: o.hostname,
    Dir: o.workdir,
    User: o.user,
    Command: o.entrypoint === undefined ? undefined : argv(o.entrypoint),
    Args: o.args === undefined ? undefined : argv(o.args),
    ReadOnly: o.readOnly,
    TTY: o.tty,
    Init: o.init,
    CapabilityAdd: o.capAdd,
    CapabilityDrop: o.capDrop,
    StopGracePeriod: o.stopGracePeriod,
    StopSignal: o.stopSignal,
    Mounts: mountsOf(before.Mounts, o),
    Hosts: changedList(
      before.Hosts,
      o.host?.map(hostLine),
      o.hostAdd?.map(hostLine),
      o.hostRm?.map(hostLine),
    ),
    DNSConfig: o.dns && { Nameservers: o.dns },
  };
  Object.assign(result, defined(values));
  const check = {
    Test:
      o.healthcheck === false ? ["NONE"] : o.healthCmd === undefined ? undefined : ["CMD-SHELL", o.healthCmd],
    Interval: o.healthInterval,
    Timeout: o.healthTimeout,
    StartPeriod: o.healthStartPeriod,
    Retries: o.healthRetries,
  };
  merge(result, "Healthcheck", check);
  return result;
}

function replicated(mode: ServiceSpec["Mode"], replicas: number): ServiceSpec["Mode"] {
  if (mode.Global || mode.GlobalJob)
    throw invalid("replicas can only be used with replicated or replicated-job mode");
  if (!mode.ReplicatedJob) return { Replicated: { Replicas: replicas } };
  return { ReplicatedJob: { ...mode.ReplicatedJob, TotalCompletions: replicas } };
}

async function networksOf(
  before: { Target: string; Aliases?: string[] }[] | undefined,
  o: SpecOptions,
  networkId: (name: string) => Promise<string>,
): Promise<{ Target: string; Aliases?: string[] }[] | undefined> {
  const added = o.network ?? o.networkAdd;
  if (added === undefined && o.networkRm === undefined) return undefined;
  const gone = new Set(await Promise.all((o.networkRm ?? []).map(networkId)));
  const kept = (before ?? []).filter(({ Target }) => !gone.has(Target));
  const ids = await Promise.all((added ?? []).map(networkId));
  return [
    ...kept,
    ...ids.filter((id) => !kept.some(({ Target }) => Target === id)).map((Target) => ({ Target })),
  ];
}

function portsOf(before: PortConfig[] | undefined, o: SpecOptions): PortConfig[] | undefined {
  if (o.publish === undefined && o.publishAdd === undefined && o.publishRm === undefined) return undefined;
  const hits = (port: Port) => (each: PortConfig) =>
    each.TargetPort === port.target && each.Protocol === port.protocol;
  const kept = (before ?? []).filter((each) => !(o.publishRm ?? []).some((port) => hits(port)(each)));
  const added = (o.publish ?? o.publishAdd ?? []).map((port) => ({
    Protocol: port.protocol,
    TargetPort: port.target,
    ...(port.published > 0 && { PublishedPort: port.published }),
    PublishMode: port.mode,
  }));
  return [...kept, ...added];
}

function mountsOf(before: { Target: string }[] | undefined, o: SpecOptions) {
  const added = (o.mount ?? o.mountAdd)?.map(mount);
  if (added === undefined && o.mountRm === undefined) return undefined;
  const gone = new Set([...(o.mountRm ?? []), ...(added ?? []).map(({ Target }) => Target)]);
  return [...(before ?? []).filter(({ Target }) => !gone.has(Target)), ...(added ?? [])];
}

function preference(text: string): object {
  const [strategy, value] = text.split(/=(.*)/s);
  if (strategy !== "spread" || !value)
    throw invalid(`placement preference "${text}": only spread=NAME is known`);
  return { Spread: { SpreadDescriptor: value } };
}

/** `name:address` as a line of /etc/hosts has it. */
function hostLine(text: string): string {
  const [name, address] = text.split(/:(.*)/s);
  if (!address) throw invalid(`bad format for add-host: "${text}": NAME:ADDRESS`);
  return `${address} ${name}`;
}

function changedEnv(before: string[] | undefined, added: string[], removed: string[] | undefined) {
  if (added.length === 0 && removed === undefined) return undefined;
  const values = new Map((before ?? []).map((word) => [word.split("=")[0]!, word]));
  for (const word of environment(added) ?? []) values.set(word.split("=")[0]!, word);
  for (const name of removed ?? []) values.delete(name);
  return [...values.values()];
}

function changedMap(
  before: Record<string, string> | undefined,
  added: string[] | undefined,
  removed: string[] | undefined,
) {
  if (added === undefined && removed === undefined) return undefined;
  const result = { ...before, ...pairs(added) };
  for (const key of removed ?? []) delete result[key];
  return result;
}

function changedList(
  before: string[] | undefined,
  given: string[] | undefined,
  added: string[] | undefined,
  removed: string[] | undefined,
): string[] | undefined {
  if (given === undefined && added === undefined && removed === undefined) return undefined;
  const kept = (given ?? before ?? []).filter((each) => !removed?.includes(each));
  return [...kept, ...(added ?? []).filter((each) => !kept.includes(each))];
}

/** Sets what is given of a part; the part itself only where something of it is. */
function merge(target: Fields, key: string, given: Fields): void {
  const found = defined(given);
  if (Object.keys(found).length > 0) target[key] = { ...(target[key] as Fields | undefined), ...found };
}

function merged(part: unknown, key: string, given: Fields): Fields | undefined {
  const found = defined(given);
  if (Object.keys(found).length === 0) return undefined;
  return { ...((part as Fields | undefined)?.[key] as Fields | undefined), ...found };
}

function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function fromFiles(paths: string[] | undefined): string[] | undefined {
  return paths?.flatMap((path) => {
    try {
      return fileLines(readFileSync(path, "utf8"));
    } catch (error) {
      throw invalid(`${path} cannot be read: ${(error as Error).message}`);
    }
  });
}
