import type { Container, ContainerSpec } from "@creel/shared/gen/engine/v1/container.ts";
import { CONFIG_ANNOTATION } from "./container-spec.ts";
import { toDockerMount } from "./mounts.ts";
import { fromHealthcheck } from "./resources.ts";

type Json = Record<string, unknown>;

/** The body the container was made with; empty for one that the API did not make. */
export function originalBody(spec: ContainerSpec): Json & { HostConfig?: Json } {
  const kept = spec.annotations[CONFIG_ANNOTATION];
  return kept === undefined ? {} : (JSON.parse(kept) as Json & { HostConfig?: Json });
}

const flags = (names: string[]) =>
  names.length === 0 ? undefined : Object.fromEntries(names.map((name) => [name, {}]));

/** `Config` of inspect: what was asked, with what the image added. */
export function toConfig(container: Container): Json {
  const spec = container.spec!;
  const { HostConfig: _host, NetworkingConfig: _networking, ...asked } = originalBody(spec);
  const ports = spec.exposedPorts.map((port) => (port.includes("/") ? port : `${port}/tcp`));
  return {
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    StdinOnce: spec.stdinOnce,
    Healthcheck: fromHealthcheck(spec.healthcheck),
    StopSignal: spec.stopSignal || undefined,
    StopTimeout: spec.stopTimeoutSeconds,
    OnBuild: null,
    ...withoutNulls(asked),
    Volumes: volumesOf(container, asked.Volumes as Json | null | undefined),
    ...(ports.length > 0 ? { ExposedPorts: flags(ports) } : {}),
    Hostname: container.hostname || spec.hostname,
    Domainname: spec.domainname,
    User: container.mergedUser || spec.user,
    Tty: spec.tty,
    OpenStdin: spec.openStdin,
    Env: container.mergedEnv,
    Cmd: container.mergedCmd.length > 0 ? container.mergedCmd : null,
    Image: spec.image,
    WorkingDir: container.mergedWorkingDir,
    Entrypoint: container.mergedEntrypoint.length > 0 ? container.mergedEntrypoint : null,
    Labels: container.mergedLabels,
  };
}

/** `HostConfig` of inspect: what was asked over Docker's defaults. */
export function toHostConfig(container: Container): Json {
  const spec = container.spec!;
  const asked = originalBody(spec).HostConfig ?? {};
  const resources = spec.resources;
  // what was asked for in another form is told in that
  const mounts = CONFIG_ANNOTATION in spec.annotations ? [] : spec.mounts;
  return {
    Binds: null,
    ContainerIDFile: "",
    LogConfig: { Type: spec.log?.driver || "json-file", Config: spec.log?.options ?? {} },
    NetworkMode: networkModeOf(spec),
    PortBindings: {},
    RestartPolicy: { Name: spec.restart?.name || "no", MaximumRetryCount: spec.restart?.maxRetries ?? 0 },
    AutoRemove: spec.autoRemove,
    VolumeDriver: "",
    VolumesFrom: null,
    ConsoleSize: [0, 0],
    CapAdd: listOrNull(spec.security?.capAdd),
    CapDrop: listOrNull(spec.security?.capDrop),
    CgroupnsMode: spec.cgroupnsMode || "host",
    Dns: spec.dns?.servers ?? [],
    DnsOptions: spec.dns?.options ?? [],
    DnsSearch: spec.dns?.search ?? [],
    ExtraHosts: listOrNull(spec.extraHosts),
    GroupAdd: listOrNull(spec.groups),
    IpcMode: spec.ipcMode || "private",
    Cgroup: "",
    Links: null,
    OomScoreAdj: resources?.oomScoreAdj ?? 0,
    PidMode: spec.pidMode,
    Privileged: spec.security?.privileged ?? false,
    PublishAllPorts: spec.publishAll,
    ReadonlyRootfs: spec.readOnly,
    SecurityOpt: null,
    UTSMode: spec.utsMode,
    UsernsMode: spec.usernsMode,
    ShmSize: spec.shmSize || 64 << 20,
    Runtime: spec.runtime || "creel",
    Isolation: "",
    CpuShares: resources?.cpuShares ?? 0,
    Memory: resources?.memory ?? 0,
    NanoCpus: resources?.nanoCpus ?? 0,
    CgroupParent: spec.cgroupParent,
    BlkioWeight: resources?.blkioWeight ?? 0,
    BlkioWeightDevice: [],
    BlkioDeviceReadBps: [],
    BlkioDeviceWriteBps: [],
    BlkioDeviceReadIOps: [],
    BlkioDeviceWriteIOps: [],
    CpuPeriod: resources?.cpuPeriod ?? 0,
    CpuQuota: resources?.cpuQuota ?? 0,
    CpuRealtimePeriod: 0,
    CpuRealtimeRuntime: 0,
    CpusetCpus: resources?.cpusetCpus ?? "",
    CpusetMems: resources?.cpusetMems ?? "",
    Devices: [],
    DeviceCgroupRules: resources?.deviceCgroupRules.length ? resources.deviceCgroupRules : null,
    DeviceRequests: null,
    MemoryReservation: resources?.memoryReservation ?? 0,
    MemorySwap: resources?.memorySwap || 2 * (resources?.memory ?? 0),
    MemorySwappiness: null,
    OomKillDisable: resources?.oomKillDisable ?? false,
    PidsLimit: resources?.pidsLimit || null,
    Ulimits: (resources?.ulimits ?? []).map(({ name, soft, hard }) => ({
      Name: name,
      Soft: soft,
      Hard: hard,
    })),
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
    Mounts: mounts.length > 0 ? mounts.map(toDockerMount) : undefined,
    MaskedPaths: spec.security?.maskedPaths ?? [],
    ReadonlyPaths: spec.security?.readonlyPaths ?? [],
    ...withoutEmpty(asked),
    ...joined(spec),
  };
}

/** `HostConfig.NetworkMode`: what was asked, or the first network's name. */
export function networkModeOf(spec: ContainerSpec): string {
  if (spec.networkMode.startsWith(CONTAINER)) return spec.networkMode;
  const asked = originalBody(spec).HostConfig?.NetworkMode;
  if (typeof asked === "string" && asked !== "") return asked === "default" ? "bridge" : asked;
  return spec.networkMode || spec.networks[0]?.network || "bridge";
}

const CONTAINER = "container:";

/** Other containers are told by their ids, which stay when names change. */
function joined(spec: ContainerSpec): Json {
  const modes = { PidMode: spec.pidMode, IpcMode: spec.ipcMode };
  return Object.fromEntries(Object.entries(modes).filter(([, mode]) => mode.startsWith(CONTAINER)));
}

/** `Config.Volumes`: what was asked, and what the image has. */
function volumesOf({ mounts, spec }: Container, asked: Json | null | undefined): Json | null {
  const own = new Set(spec!.mounts.map(({ target }) => target));
  const image = mounts.filter(({ type, target }) => type === "volume" && !own.has(target));
  const volumes = { ...asked, ...flags(image.map(({ target }) => target)) };
  return Object.keys(volumes).length > 0 ? volumes : null;
}

function listOrNull(list: string[] | undefined): string[] | null {
  return list && list.length > 0 ? list : null;
}

function withoutNulls(json: Json): Json {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null));
}

/** What an update may have changed since, so that only the container's spec has it. */
const UPDATED = new Set([
  ...["CpuShares", "Memory", "NanoCpus", "CpuPeriod", "CpuQuota", "CpusetCpus", "CpusetMems"],
  ...["MemoryReservation", "MemorySwap", "PidsLimit", "BlkioWeight"],
]);

/** Docker's client writes these where nothing is asked. */
const DEFAULTS: Json = { ShmSize: 0, MemorySwappiness: -1 };

/** Nulls and empty strings are a client's way to ask for the default, which is told instead. */
function withoutEmpty(json: Json): Json {
  const { NetworkMode: _mode, RestartPolicy: _policy, LogConfig: log, ...rest } = json;
  const named = (value: unknown, key: string) => Boolean((value as Json | null | undefined)?.[key]);
  return {
    ...Object.fromEntries(
      Object.entries(rest).filter(
        ([key, value]) => value !== null && value !== "" && value !== DEFAULTS[key] && !UPDATED.has(key),
      ),
    ),
    ...(named(log, "Type") ? { LogConfig: log } : {}),
  };
}
