import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { invalid } from "../../invalid.ts";
import { mount } from "../mounts.ts";
import { type Port, size, whole } from "../options.ts";
import { environment, fileLines, pairs } from "../words.ts";
import type { RunOptions } from "./run-options.ts";

/** The body of `POST /containers/create` for what `run` and `create` were given. */
export function createBody(image: string, command: string[], o: RunOptions): object {
  const interactive = o.interactive ?? false;
  const attached = o.detach ? [] : (o.attach?.map((name) => name.toLowerCase()) ?? ["stdout", "stderr"]);
  const volumes = o.volume ?? [];
  const networks = (o.network ?? []).map(networkOf);
  return {
    Image: image,
    ...(command.length > 0 && { Cmd: command }),
    ...(o.entrypoint !== undefined && { Entrypoint: o.entrypoint === "" ? [""] : [o.entrypoint] }),
    ...given({
      Hostname: o.hostname,
      Domainname: o.domainname,
      User: o.user,
      WorkingDir: o.workdir,
      StopSignal: o.stopSignal,
      StopTimeout: o.stopTimeout,
      Healthcheck: healthcheck(o),
    }),
    Env: [...(environment(fromFiles(o.envFile)) ?? []), ...(environment(o.env) ?? [])],
    Labels: { ...pairs(fromFiles(o.labelFile)), ...pairs(o.label) },
    Tty: o.tty ?? false,
    OpenStdin: interactive,
    StdinOnce: interactive && !o.detach,
    AttachStdin: (interactive && !o.detach) || attached.includes("stdin"),
    AttachStdout: attached.includes("stdout"),
    AttachStderr: attached.includes("stderr"),
    Volumes: Object.fromEntries(volumes.filter((text) => !text.includes(":")).map((path) => [path, {}])),
    ExposedPorts: exposed(o),
    HostConfig: hostConfig(o, volumes, networks[0]?.name ?? "default"),
    ...endpoints(o, networks),
  };
}

function hostConfig(o: RunOptions, volumes: string[], network: string): object {
  return {
    PortBindings: bindings(o),
    PublishAllPorts: o.publishAll ?? false,
    AutoRemove: o.rm ?? false,
    Binds: volumes.filter((text) => text.includes(":")).map(bind),
    Tmpfs: Object.fromEntries(
      (o.tmpfs ?? [])
        .map((text) => text.split(/:(.*)/s).slice(0, 2))
        .map(([path, options]) => [path, options ?? ""]),
    ),
    ReadonlyRootfs: o.readOnly ?? false,
    Privileged: o.privileged ?? false,
    CapAdd: o.capAdd?.map(capability) ?? null,
    CapDrop: o.capDrop?.map(capability) ?? null,
    SecurityOpt: o.securityOpt?.map(securityOption) ?? null,
    NetworkMode: network,
    RestartPolicy: restartPolicy(o.restart),
    Dns: o.dns ?? [],
    DnsOptions: o.dnsOption ?? [],
    DnsSearch: o.dnsSearch ?? [],
    ExtraHosts: o.addHost ?? [],
    ...given({
      Mounts: o.mount?.map(mount),
      VolumesFrom: o.volumesFrom,
      VolumeDriver: o.volumeDriver,
      StorageOpt: o.storageOpt && pairs(o.storageOpt),
      GroupAdd: o.groupAdd,
      Sysctls: o.sysctl && pairs(o.sysctl),
      Ulimits: o.ulimit?.map(ulimit),
      Init: o.init,
      Annotations: o.annotation && pairs(o.annotation),
      PidMode: o.pid,
      IpcMode: o.ipc,
      UTSMode: o.uts,
      UsernsMode: o.userns,
      CgroupnsMode: o.cgroupns,
      CgroupParent: o.cgroupParent,
      Runtime: o.runtime,
      LogConfig: (o.logDriver || o.logOpt) && { Type: o.logDriver ?? "", Config: pairs(o.logOpt) },
    }),
    ...limits(o),
  };
}

function limits(o: RunOptions): object {
  return given({
    Memory: o.memory,
    MemoryReservation: o.memoryReservation,
    MemorySwap: o.memorySwap,
    MemorySwappiness: o.memorySwappiness,
    OomKillDisable: o.oomKillDisable,
    OomScoreAdj: o.oomScoreAdj,
    ShmSize: o.shmSize,
    NanoCpus: o.cpus,
    CpuShares: o.cpuShares,
    CpuPeriod: o.cpuPeriod,
    CpuQuota: o.cpuQuota,
    CpuRealtimePeriod: o.cpuRtPeriod,
    CpuRealtimeRuntime: o.cpuRtRuntime,
    CpusetCpus: o.cpusetCpus,
    CpusetMems: o.cpusetMems,
    BlkioWeight: o.blkioWeight,
    BlkioWeightDevice: o.blkioWeightDevice?.map((text) => ofDevice(text, "Weight", whole)),
    BlkioDeviceReadBps: o.deviceReadBps?.map((text) => ofDevice(text, "Rate", size)),
    BlkioDeviceWriteBps: o.deviceWriteBps?.map((text) => ofDevice(text, "Rate", size)),
    BlkioDeviceReadIOps: o.deviceReadIops?.map((text) => ofDevice(text, "Rate", whole)),
    BlkioDeviceWriteIOps: o.deviceWriteIops?.map((text) => ofDevice(text, "Rate", whole)),
    PidsLimit: o.pidsLimit,
    Devices: o.device?.map(device),
    DeviceCgroupRules: o.deviceCgroupRule,
    DeviceRequests: o.gpus === undefined ? undefined : [gpus(o.gpus)],
  });
}

/** Only what is there: what was not said is the daemon's to say. */
function given(fields: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function healthcheck(o: RunOptions): object | undefined {
  const check = given({
    Test:
      o.healthcheck === false ? ["NONE"] : o.healthCmd === undefined ? undefined : ["CMD-SHELL", o.healthCmd],
    Interval: o.healthInterval,
    Timeout: o.healthTimeout,
    StartPeriod: o.healthStartPeriod,
    StartInterval: o.healthStartInterval,
    Retries: o.healthRetries,
  });
  return Object.keys(check).length > 0 ? check : undefined;
}

interface Network {
  name: string;
  endpoint: {
    Aliases?: string[];
    MacAddress?: string;
    IPAMConfig?: { IPv4Address: string };
    GwPriority?: number;
  };
}

/** A name, or `name=…[,alias=…][,ip=…][,mac-address=…][,gw-priority=…]`. */
function networkOf(text: string): Network {
  if (!text.includes("=")) return { name: text, endpoint: {} };
  const found: Network = { name: "", endpoint: {} };
  for (const field of text.split(",")) {
    const [key = "", value = ""] = field.split(/=(.*)/s);
    if (key === "name") found.name = value;
    else if (key === "alias") found.endpoint.Aliases = [...(found.endpoint.Aliases ?? []), value];
    else if (key === "ip") found.endpoint.IPAMConfig = { IPv4Address: value };
    else if (key === "mac-address") found.endpoint.MacAddress = value;
    else if (key === "gw-priority") found.endpoint.GwPriority = Number(value);
    else throw invalid(`invalid field key ${key} in --network ${text}`);
  }
  if (found.name === "") throw invalid(`network name/id is not specified in --network ${text}`);
  return found;
}

function endpoints(o: RunOptions, networks: Network[]): object {
  const [first = { name: "default", endpoint: {} }, ...more] = networks;
  const { endpoint } = first;
  const own = {
    ...endpoint,
    ...given({
      Aliases: o.networkAlias && [...(endpoint.Aliases ?? []), ...o.networkAlias],
      MacAddress: o.macAddress,
      IPAMConfig: o.ip === undefined ? undefined : { IPv4Address: o.ip },
    }),
  };
  const all = [{ name: first.name, endpoint: own }, ...more].filter(
    (each, i) => i > 0 || Object.keys(each.endpoint).length > 0,
  );
  if (all.length === 0) return {};
  return {
    NetworkingConfig: { EndpointsConfig: Object.fromEntries(all.map((each) => [each.name, each.endpoint])) },
  };
}

const key = (port: { target: number; protocol: string }) => `${port.target}/${port.protocol}`;

function exposed(o: RunOptions): Record<string, object> {
  return Object.fromEntries([...(o.publish ?? []).map(key), ...(o.expose ?? [])].map((port) => [port, {}]));
}

function bindings(o: RunOptions): Record<string, { HostIp: string; HostPort: string }[]> {
  const found: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of o.publish ?? []) {
    found[key(port)] = [...(found[key(port)] ?? []), { HostIp: port.hostIp, HostPort: hostPort(port) }];
  }
  return found;
}

function hostPort({ published, publishedEnd }: Port): string {
  if (publishedEnd !== undefined) return `${published}-${publishedEnd}`;
  return published ? String(published) : "";
}

/** `HOST[:CONTAINER][:PERMISSIONS]` */
function device(text: string): object {
  const [host = "", ...rest] = text.split(":");
  const isAccess = (word: string | undefined) => word !== undefined && /^[rwm]{1,3}$/.test(word);
  const access = isAccess(rest.at(-1)) ? rest.pop() : "rwm";
  if (host === "" || rest.length > 1) throw invalid(`bad format for path: ${text}`);
  return { PathOnHost: host, PathInContainer: rest[0] ?? host, CgroupPermissions: access };
}

function ofDevice(text: string, field: "Weight" | "Rate", value: (text: string) => number): object {
  const [, path, amount] = /^(\/dev\/[^:]+):(.+)$/.exec(text) ?? [];
  if (path === undefined) throw invalid(`bad format: ${text}: /dev/NAME:NUMBER`);
  return { Path: path, [field]: value(amount!) };
}

/** A number of GPUs, or all. */
function gpus(text: string): object {
  const count = text === "all" ? -1 : Number(text);
  if (!Number.isInteger(count))
    throw invalid(`invalid argument "${text}" for "--gpus" flag: a number, or all`);
  return { Driver: "", Count: count, DeviceIDs: null, Capabilities: [["gpu"]], Options: {} };
}

/** A source that starts with a dot is a folder of this machine. */
function bind(text: string): string {
  const [source, ...rest] = text.split(":");
  return [/^\.\.?(\/|$)/.test(source!) ? resolve(source!) : source, ...rest].join(":");
}

/** A seccomp profile is read here, as the daemon may be on another machine. */
function securityOption(text: string): string {
  const path = /^seccomp[=:](?!unconfined$|builtin$)(.+)$/.exec(text)?.[1];
  return path === undefined || path.startsWith("{") ? text : `seccomp=${readText(path)}`;
}

/** By its whole name, as the kernel has it. */
function capability(text: string): string {
  const name = text.toUpperCase();
  return name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`;
}

function ulimit(text: string): { Name: string; Soft: number; Hard: number } {
  const match = /^(\w+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null) throw invalid(`invalid ulimit argument: ${text}: NAME=SOFT[:HARD]`);
  return { Name: match[1]!, Soft: Number(match[2]), Hard: Number(match[3] ?? match[2]) };
}

/** `on-failure:3` and its like. */
export function restartPolicy(text: string | undefined): { Name: string; MaximumRetryCount: number } {
  const [name, count] = (text ?? "no").split(":");
  if (count !== undefined && !/^\d+$/.test(count))
    throw invalid("invalid restart policy format: maximum retry count must be an integer");
  return { Name: name!, MaximumRetryCount: Number(count ?? 0) };
}

/** The lines of files of `NAME=value`. */
export function fromFiles(paths: string[] | undefined): string[] | undefined {
  return paths?.flatMap((path) => fileLines(readText(path)));
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw invalid(`${path} cannot be read: ${(error as Error).message}`);
  }
}
