import { basename } from "node:path";
import type {
  Container,
  ContainerState,
  Endpoint,
  Mount,
  NetworkAttachment,
} from "@creel/shared/gen/engine/v1/container.ts";
import { fromNanos, nanosToSeconds } from "../http/time.ts";
import { networkModeOf, originalBody, toConfig, toHostConfig } from "./container-config.ts";
import { inWords } from "./duration.ts";
import { toGraphDriver } from "./graph-driver.ts";
import { toPortList, toPortMap } from "./ports.ts";

type Json = Record<string, unknown>;

/** The answer of GET /containers/{id}/json. */
export function toInspect(container: Container): Json {
  return {
    Id: container.id,
    Created: fromNanos(container.createdNanos),
    Path: container.path,
    Args: container.args,
    State: toState(container.state!),
    Image: container.imageId,
    ResolvConfPath: container.resolvConfPath,
    HostnamePath: container.hostnamePath,
    HostsPath: container.hostsPath,
    LogPath: container.logPath,
    Name: `/${container.name}`,
    RestartCount: container.restartCount,
    Driver: container.storageDriver,
    Platform: "linux",
    MountLabel: "",
    ProcessLabel: "",
    AppArmorProfile: "",
    ExecIDs: container.execIds.length > 0 ? container.execIds : null,
    HostConfig: toHostConfig(container),
    GraphDriver: toGraphDriver(container.storageDriver, container.places),
    Mounts: toMountPoints(container),
    Config: toConfig(container),
    NetworkSettings: toNetworkSettings(container),
  };
}

/** One entry of GET /containers/json. */
export function toListEntry(container: Container, nowMillis: number): Json {
  const spec = container.spec!;
  return {
    Id: container.id,
    Names: [`/${container.name}`],
    Image: container.image,
    ImageID: container.imageId,
    Command: commandLine(container),
    Created: nanosToSeconds(container.createdNanos),
    Ports: toPortList(container.ports, exposedPorts(container)),
    Labels: container.mergedLabels,
    State: container.state!.status,
    Status: statusLine(container.state!, nowMillis),
    HostConfig: { NetworkMode: networkModeOf(spec) },
    NetworkSettings: { Networks: networksOf(container) },
    Mounts: toMountPoints(container),
  };
}

/** What a container does, in the words of `docker ps`. */
function statusLine(state: ContainerState, nowMillis: number): string {
  const ago = (nanos: string) => inWords((nowMillis - Number(BigInt(nanos || "0") / 1_000_000n)) / 1000);
  const health =
    state.health === "starting"
      ? " (health: starting)"
      : state.health && state.health !== "none"
        ? ` (${state.health})`
        : "";
  switch (state.status) {
    case "running":
      return `Up ${ago(state.startedNanos)}${health}`;
    case "paused":
      return `Up ${ago(state.startedNanos)} (Paused)`;
    case "restarting":
      return `Restarting (${state.exitCode}) ${ago(state.finishedNanos)} ago`;
    case "exited":
      return `Exited (${state.exitCode}) ${ago(state.finishedNanos)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    default:
      return "Created";
  }
}

function commandLine(container: Container): string {
  const args = container.args.map((arg) => (arg.includes(" ") ? `'${arg}'` : arg));
  return [container.path, ...args].join(" ");
}

/** Ports are told of while a container has its network. */
function exposedPorts(container: Container): string[] {
  return container.state!.status === "running" ? container.spec!.exposedPorts : [];
}

function toState(state: ContainerState): Json {
  return {
    Status: state.status,
    Running: ["running", "paused", "restarting"].includes(state.status),
    Paused: state.status === "paused",
    Restarting: state.status === "restarting",
    OOMKilled: state.oomKilled,
    Dead: state.status === "dead",
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: fromNanos(state.startedNanos),
    FinishedAt: fromNanos(state.finishedNanos),
    Health:
      state.health === ""
        ? undefined
        : {
            Status: state.health,
            FailingStreak: state.healthFailingStreak,
            Log: state.healthLog.map((result) => ({
              Start: fromNanos(result.startNanos),
              End: fromNanos(result.endNanos),
              ExitCode: result.exitCode,
              Output: result.output,
            })),
          },
  };
}

/** What is mounted, but for what `--tmpfs` asks: that is told in `HostConfig` alone. */
function toMountPoints(container: Container): Json[] {
  const tmpfs = Object.keys(originalBody(container.spec!).HostConfig?.Tmpfs ?? {});
  const own = container.mounts.filter(({ type, target }) => type !== "tmpfs" || !tmpfs.includes(target));
  return own.map(toMountPoint);
}

function toMountPoint(mount: Mount): Json {
  const volume = mount.type === "volume";
  return {
    Type: mount.type,
    Name: volume ? nameOfVolume(mount) : undefined,
    Source: mount.type === "tmpfs" ? "" : mount.source,
    Destination: mount.target,
    Driver: volume ? "local" : undefined,
    Mode: mount.readOnly ? "ro" : volume ? "z" : "",
    RW: !mount.readOnly,
    Propagation: mount.type === "bind" ? mount.propagation || "rprivate" : "",
  };
}

/** The name of the volume that is mounted: it lies at .../volumes/NAME/_data. */
export function nameOfVolume(mount: Mount): string {
  return /\/volumes\/([^/]+)\/_data(?:\/|$)/.exec(mount.source)?.[1] ?? mount.source;
}

/** `NetworkSettings.Networks`: where it is, and without addresses the networks that it gets at its next start. */
function networksOf({ endpoints, networks }: Container): Json {
  const known = (name: string) =>
    endpoints.some((end) => end.networkName === name || end.networkId.startsWith(name));
  return Object.fromEntries([
    ...endpoints.map((end) => [end.networkName, toEndpoint(end, networks)]),
    ...networks
      .filter(({ network }) => !known(network))
      .map(({ network, aliases, mac }) => [
        network,
        toEndpoint({ ...ABSENT, networkName: network, aliases, mac }, networks),
      ]),
  ]);
}

const ABSENT: Endpoint = {
  id: "",
  networkId: "",
  networkName: "",
  address: "",
  prefixLength: 0,
  gateway: "",
  mac: "",
  aliases: [],
};

function toEndpoint(endpoint: Endpoint, asked: NetworkAttachment[]): Json {
  const aliases = endpoint.aliases.length > 0 ? endpoint.aliases : null;
  const { address } = asked.find(({ network }) => network === endpoint.networkName) ?? {};
  return {
    IPAMConfig: address ? { IPv4Address: address } : null,
    Links: null,
    Aliases: aliases,
    MacAddress: endpoint.mac,
    DriverOpts: null,
    GwPriority: 0,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.id,
    Gateway: endpoint.gateway,
    IPAddress: endpoint.address,
    IPPrefixLen: endpoint.prefixLength,
    IPv6Gateway: "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    DNSNames: aliases,
  };
}

function toNetworkSettings(container: Container): Json {
  const bridge = container.endpoints.find((endpoint) => endpoint.networkName === "bridge");
  return {
    Bridge: "",
    SandboxID: basename(container.sandboxPath),
    SandboxKey: container.sandboxPath,
    Ports: toPortMap(container.ports, exposedPorts(container)),
    HairpinMode: false,
    LinkLocalIPv6Address: "",
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: bridge?.id ?? "",
    Gateway: bridge?.gateway ?? "",
    GlobalIPv6Address: "",
    GlobalIPv6PrefixLen: 0,
    IPAddress: bridge?.address ?? "",
    IPPrefixLen: bridge?.prefixLength ?? 0,
    IPv6Gateway: "",
    MacAddress: bridge?.mac ?? "",
    Networks: networksOf(container),
  };
}
