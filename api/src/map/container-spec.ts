import { CreelError } from "@creel/shared";
import type {
  ContainerSpec,
  Mount,
  NetworkAttachment,
  RestartPolicy,
} from "@creel/shared/gen/engine/v1/container.ts";
import { booleanOf } from "../http/filters.ts";
import type { CreateContainer, HostConfig } from "../schema/container.ts";
import { refuse } from "./container-checks.ts";
import { fromBind, fromMount, fromTmpfs } from "./mounts.ts";
import { parseBindings } from "./ports.ts";
import { toHealthcheck, toResources } from "./resources.ts";

/** Where the original body is kept, so that inspect can give back all that Docker would. */
export const CONFIG_ANNOTATION = "creel.api.config";

/** The engine's container for a body of POST /containers/create; `inherited` are mounts of `VolumesFrom`. */
export function toContainerSpec(body: CreateContainer, inherited: Mount[]): ContainerSpec {
  const host: HostConfig = body.HostConfig ?? {};
  refuse(body, host);
  const mode = networkMode(host.NetworkMode ?? "", body.NetworkDisabled === true);
  const entrypoint = words(body.Entrypoint);
  const cleared = entrypoint !== undefined && (entrypoint.length === 0 || entrypoint.join() === "");
  const security = securityOptions(host.SecurityOpt ?? []);
  return {
    image: body.Image ?? "",
    entrypoint: cleared ? [] : (entrypoint ?? []),
    clearEntrypoint: cleared,
    cmd: words(body.Cmd) ?? [],
    env: body.Env ?? [],
    workingDir: body.WorkingDir ?? "",
    user: body.User ?? "",
    groups: host.GroupAdd ?? [],
    hostname: body.Hostname ?? "",
    domainname: body.Domainname ?? "",
    tty: body.Tty ?? false,
    openStdin: body.OpenStdin ?? false,
    stdinOnce: body.StdinOnce ?? false,
    labels: body.Labels ?? {},
    annotations: { ...host.Annotations, [CONFIG_ANNOTATION]: JSON.stringify(body) },
    stopSignal: body.StopSignal ?? "",
    stopTimeoutSeconds: body.StopTimeout ?? undefined,
    healthcheck: toHealthcheck(body.Healthcheck),
    mounts: mountsOf(body, host, inherited),
    readOnly: host.ReadonlyRootfs ?? false,
    resources: { ...toResources(host), oomScoreAdj: host.OomScoreAdj ?? 0 },
    security: {
      privileged: host.Privileged ?? false,
      capAdd: host.CapAdd ?? [],
      capDrop: host.CapDrop ?? [],
      noNewPrivileges: security.noNewPrivileges,
      seccomp: host.Privileged ? "unconfined" : security.seccomp,
      maskedPaths: host.MaskedPaths ?? [],
      readonlyPaths: host.ReadonlyPaths ?? [],
      noMaskedPaths: host.MaskedPaths?.length === 0 || security.openPaths,
      noReadonlyPaths: host.ReadonlyPaths?.length === 0 || security.openPaths,
    },
    networks: mode === "" ? networksOf(body, host) : [],
    networkMode: mode,
    ports: parseBindings(host.PortBindings ?? {}),
    exposedPorts: Object.keys(body.ExposedPorts ?? {}),
    dns: { servers: host.Dns ?? [], search: host.DnsSearch ?? [], options: host.DnsOptions ?? [] },
    extraHosts: host.ExtraHosts ?? [],
    log: { driver: host.LogConfig?.Type ?? "", options: host.LogConfig?.Config ?? {} },
    restart: toRestartPolicy(host.RestartPolicy ?? {}),
    autoRemove: host.AutoRemove ?? false,
    init: host.Init ?? undefined,
    runtime: host.Runtime ?? "",
    pidMode: host.PidMode ?? "",
    ipcMode: host.IpcMode ?? "",
    utsMode: host.UTSMode ?? "",
    cgroupParent: host.CgroupParent ?? "",
    cgroupnsMode: host.CgroupnsMode ?? "",
    usernsMode: host.UsernsMode ?? "",
    shmSize: host.ShmSize ?? 0,
    sysctls: host.Sysctls ?? {},
    devices: (host.Devices ?? []).map((device) => ({
      hostPath: device.PathOnHost,
      containerPath: device.PathInContainer || device.PathOnHost,
      permissions: device.CgroupPermissions || "rwm",
    })),
    files: [],
    publishAll: host.PublishAllPorts ?? false,
  };
}

/** A command as words; Docker takes a single string as one word. */
export function words(command: string | string[] | null | undefined): string[] | undefined {
  if (command === null || command === undefined) return undefined;
  return typeof command === "string" ? [command] : command;
}

/** The engine's restart policy for Docker's. */
export function toRestartPolicy(policy: NonNullable<HostConfig["RestartPolicy"]>): RestartPolicy {
  return { name: policy.Name ?? "", maxRetries: policy.MaximumRetryCount ?? 0 };
}

function networkMode(mode: string, disabled: boolean): string {
  if (disabled || mode === "none") return "none";
  return mode === "host" || mode.startsWith("container:") ? mode : "";
}

function networksOf(body: CreateContainer, host: HostConfig): NetworkAttachment[] {
  const endpoints = body.NetworkingConfig?.EndpointsConfig ?? {};
  const asked = host.NetworkMode ?? "";
  const first = asked === "" || asked === "default" ? "bridge" : asked;
  const named = new Map(
    Object.entries(endpoints).map(([name, endpoint]) => [name === "default" ? "bridge" : name, endpoint]),
  );
  const names = [first, ...[...named.keys()].filter((name) => name !== first)];
  const priorities = names.map((name) => named.get(name)?.GwPriority ?? 0);
  const best = priorities.indexOf(Math.max(...priorities));
  return names.map((network, i) => {
    const endpoint = named.get(network);
    return {
      network,
      address: endpoint?.IPAMConfig?.IPv4Address ?? "",
      mac: endpoint?.MacAddress ?? (i === 0 ? (body.MacAddress ?? "") : ""),
      aliases: endpoint?.Aliases ?? [],
      defaultRoute: i === best,
    };
  });
}

function mountsOf(body: CreateContainer, host: HostConfig, inherited: Mount[]): Mount[] {
  const mounts = [
    ...(host.Binds ?? []).map((bind) => fromBind(bind)),
    ...(host.Mounts ?? []).map((mount) => fromMount(mount)),
    ...Object.entries(host.Tmpfs ?? {}).map(([target, options]) => fromTmpfs(target, options)),
  ];
  const targets = new Set<string>();
  for (const { target } of mounts) {
    if (targets.has(target))
      throw new CreelError("invalid_parameter", { message: `Duplicate mount point: ${target}` });
    targets.add(target);
  }
  const further = [
    ...inherited,
    ...Object.keys(body.Volumes ?? {}).map((target) => fromMount({ Type: "volume", Target: target })),
  ];
  return [...mounts, ...further.filter(({ target }) => !targets.has(target))];
}

function securityOptions(options: string[]) {
  const found = { noNewPrivileges: false, seccomp: "", openPaths: false };
  for (const option of options) {
    const [, name, value] = /^([^=:]+)(?:[=:]([\s\S]*))?$/.exec(option) ?? [];
    const flag = booleanOf(value ?? "true");
    if (name === "no-new-privileges" && flag !== undefined) found.noNewPrivileges = flag;
    else if (name === "seccomp") found.seccomp = value === "builtin" ? "" : (value ?? "");
    else if (name === "systempaths" && value === "unconfined") found.openPaths = true;
    else if (name === "label" || (name === "apparmor" && (value === "unconfined" || value === ""))) continue;
    else {
      throw new CreelError("invalid_parameter", { message: `invalid --security-opt: "${option}"` });
    }
  }
  return found;
}
