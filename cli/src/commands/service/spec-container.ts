import { readFileSync } from "node:fs";
import { invalid } from "../../invalid.ts";
import { mount } from "../mounts.ts";
import { environment, fileLines } from "../words.ts";
import { argv } from "./argv.ts";
import { changedByKey, changedList, changedMap, defined, type Fields, merge } from "./changes.ts";
import type { Ulimit } from "./limits.ts";
import type { SpecOptions } from "./spec-options.ts";
import type { ServiceSpec } from "./types.ts";

type StringMap = Record<string, string>;

/** The container of a service's tasks with what was asked for. */
export function container(before: ServiceSpec["TaskTemplate"]["ContainerSpec"], o: SpecOptions) {
  const result = { ...before };
  const dns = before.DNSConfig as
    | { Nameservers?: string[]; Search?: string[]; Options?: string[] }
    | undefined;
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
    Groups: changedList(before.Groups as string[] | undefined, o.group, o.groupAdd, o.groupRm),
    Sysctls: changedMap(before.Sysctls as StringMap | undefined, o.sysctl ?? o.sysctlAdd, o.sysctlRm),
    Ulimits: changedByKey(
      before.Ulimits as Ulimit[] | undefined,
      o.ulimit ?? o.ulimitAdd,
      o.ulimitRm,
      ({ Name }) => Name,
    ),
    Isolation: o.isolation,
    OomScoreAdj: o.oomScoreAdj,
    ...capabilities(before, o),
    StopGracePeriod: o.stopGracePeriod,
    StopSignal: o.stopSignal,
    Mounts: mountsOf(before.Mounts, o),
    Hosts: changedList(
      before.Hosts,
      o.host?.map(hostLine),
      o.hostAdd?.map(hostLine),
      o.hostRm?.map(hostLine),
    ),
  };
  Object.assign(result, defined(values));
  merge(result, "DNSConfig", {
    Nameservers: changedList(dns?.Nameservers, o.dns, o.dnsAdd, o.dnsRm),
    Search: changedList(dns?.Search, o.dnsSearch, o.dnsSearchAdd, o.dnsSearchRm),
    Options: changedList(dns?.Options, o.dnsOption, o.dnsOptionAdd, o.dnsOptionRm),
  });
  const check = {
    Test:
      o.healthcheck === false ? ["NONE"] : o.healthCmd === undefined ? undefined : ["CMD-SHELL", o.healthCmd],
    Interval: o.healthInterval,
    Timeout: o.healthTimeout,
    StartPeriod: o.healthStartPeriod,
    StartInterval: o.healthStartInterval,
    Retries: o.healthRetries,
  };
  merge(result, "Healthcheck", check);
  return result;
}

/** A capability that is added is no longer dropped, and the other way round. */
function capabilities(before: Fields, { capAdd, capDrop }: SpecOptions): Fields {
  if (capAdd === undefined && capDrop === undefined) return {};
  const known = (key: string) => (before[key] as string[] | undefined) ?? [];
  const joined = (list: string[], more: string[] = [], less: string[] = []) => [
    ...new Set([...list.filter((each) => !less.includes(each)), ...more]),
  ];
  return {
    CapabilityAdd: joined(known("CapabilityAdd"), capAdd, capDrop),
    CapabilityDrop: joined(known("CapabilityDrop"), capDrop, capAdd),
  };
}

function mountsOf(before: { Target: string }[] | undefined, o: SpecOptions) {
  return changedByKey(before, (o.mount ?? o.mountAdd)?.map(mount), o.mountRm, ({ Target }) => Target);
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

function fromFiles(paths: string[] | undefined): string[] | undefined {
  return paths?.flatMap((path) => {
    try {
      return fileLines(readFileSync(path, "utf8"));
    } catch (error) {
      throw invalid(`${path} cannot be read: ${(error as Error).message}`);
    }
  });
}
