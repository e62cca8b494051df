import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { invalid } from "../../invalid.ts";
import { mount } from "../mounts.ts";
import { environment, fileLines, pairs } from "../words.ts";
import type { RunOptions } from "./run-options.ts";

/** The body of `POST /containers/create` for what `run` and `create` were given. */
export function createBody(image: string, command: string[], o: RunOptions): object {
  const interactive = o.interactive ?? false;
  const volumes = o.volume ?? [];
  const network = o.network ?? "default";
  return {
    Image: image,
    ...(command.length > 0 && { Cmd: command }),
    ...(o.entrypoint !== undefined && { Entrypoint: o.entrypoint === "" ? [""] : [o.entrypoint] }),
    ...(o.hostname && { Hostname: o.hostname }),
    ...(o.user && { User: o.user }),
    ...(o.workdir && { WorkingDir: o.workdir }),
    ...(o.stopSignal && { StopSignal: o.stopSignal }),
    ...(o.stopTimeout !== undefined && { StopTimeout: o.stopTimeout }),
    Env: [...(environment(fromFiles(o.envFile)) ?? []), ...(environment(o.env) ?? [])],
    Labels: { ...pairs(fromFiles(o.labelFile)), ...pairs(o.label) },
    Tty: o.tty ?? false,
    OpenStdin: interactive,
    StdinOnce: interactive && !o.detach,
    AttachStdin: interactive && !o.detach,
    AttachStdout: !o.detach,
    AttachStderr: !o.detach,
    Volumes: Object.fromEntries(volumes.filter((text) => !text.includes(":")).map((path) => [path, {}])),
    ExposedPorts: exposed(o),
    HostConfig: hostConfig(o, volumes, network),
    ...(o.networkAlias && {
      NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: o.networkAlias } } },
    }),
  };
}

function hostConfig(o: RunOptions, volumes: string[], network: string): object {
  return {
    PortBindings: bindings(o),
    PublishAllPorts: o.publishAll ?? false,
    AutoRemove: o.rm ?? false,
    Binds: volumes.filter((text) => text.includes(":")).map(bind),
    ...(o.mount && { Mounts: o.mount.map(mount) }),
    Tmpfs: Object.fromEntries(
      (o.tmpfs ?? [])
        .map((text) => text.split(/:(.*)/s).slice(0, 2))
        .map(([path, options]) => [path, options ?? ""]),
    ),
    ReadonlyRootfs: o.readOnly ?? false,
    Privileged: o.privileged ?? false,
    CapAdd: o.capAdd ?? null,
    CapDrop: o.capDrop ?? null,
    SecurityOpt: o.securityOpt?.map(securityOption) ?? null,
    ...(o.groupAdd && { GroupAdd: o.groupAdd }),
    ...(o.sysctl && { Sysctls: pairs(o.sysctl) }),
    ...(o.ulimit && { Ulimits: o.ulimit.map(ulimit) }),
    ...(o.init && { Init: true }),
    NetworkMode: network,
    Memory: o.memory ?? 0,
    ...(o.shmSize !== undefined && { ShmSize: o.shmSize }),
    NanoCpus: o.cpus ?? 0,
    CpuShares: o.cpuShares ?? 0,
    CpusetCpus: o.cpusetCpus ?? "",
    PidsLimit: o.pidsLimit ?? 0,
    RestartPolicy: restartPolicy(o.restart),
    Dns: o.dns ?? [],
    DnsSearch: o.dnsSearch ?? [],
    ExtraHosts: o.addHost ?? [],
    ...((o.logDriver || o.logOpt) && { LogConfig: { Type: o.logDriver ?? "", Config: pairs(o.logOpt) } }),
  };
}

const key = (port: { target: number; protocol: string }) => `${port.target}/${port.protocol}`;

function exposed(o: RunOptions): Record<string, object> {
  const more = (o.expose ?? []).map((text) => (text.includes("/") ? text : `${text}/tcp`));
  return Object.fromEntries([...(o.publish ?? []).map(key), ...more].map((port) => [port, {}]));
}

function bindings(o: RunOptions): Record<string, { HostIp: string; HostPort: string }[]> {
  const found: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of o.publish ?? []) {
    found[key(port)] = [
      ...(found[key(port)] ?? []),
      { HostIp: port.hostIp, HostPort: port.published ? String(port.published) : "" },
    ];
  }
  return found;
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
