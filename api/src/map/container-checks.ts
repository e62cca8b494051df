import { CreelError } from "@creel/shared";
import type { CreateContainer, HostConfig } from "../schema/container.ts";

const DEVICE_RULE = /^[abc] (\d+|\*):(\d+|\*) [rwm]{1,3}$/;
const MOST_OOM_SCORE = 1000;

const no = (message: string) => new CreelError("invalid_parameter", { message });
const unsupported = (message: string) => new CreelError("unsupported", { message });

/** Refuses a body of POST /containers/create that asks for what no container can have; what else there is, the engine does. */
export function refuse(body: CreateContainer, host: HostConfig): void {
  if (!body.Image) throw no("no image is given: Config.Image must be set");
  refuseLimits(host);
  refuseNetworkMode(body, host);
  for (const rule of host.DeviceCgroupRules ?? []) {
    if (!DEVICE_RULE.test(rule))
      throw no(`invalid device cgroup rule format: '${rule}': write it as 'c 10:229 rwm'`);
  }
  if (Object.keys(host.StorageOpt ?? {}).length > 0) {
    throw no("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  }
  const driver = host.VolumeDriver ?? "";
  if (driver !== "" && driver !== "local") {
    throw no(`error looking up volume plugin ${driver}: plugin "${driver}" not found`);
  }
  const isolation = host.Isolation ?? "";
  if (isolation !== "" && isolation !== "default")
    throw no(`invalid isolation (${isolation}): linux only supports 'default'`);
  if ("" in (host.Annotations ?? {}))
    throw no("invalid Annotations: the empty string is not permitted as an annotation key");
  for (const endpoint of Object.values(body.NetworkingConfig?.EndpointsConfig ?? {})) {
    if (endpoint?.IPAMConfig?.IPv6Address || endpoint?.IPAMConfig?.LinkLocalIPs?.length) {
      throw unsupported(
        "containers have IPv4 addresses of their networks alone: leave out --ip6 and --link-local-ip",
      );
    }
  }
  if (host.Links?.length) {
    throw unsupported(
      "links are not supported; put both containers on a network of their own, where names resolve",
    );
  }
}

function refuseLimits(host: HostConfig): void {
  const score = host.OomScoreAdj ?? 0;
  if (Math.abs(score) > MOST_OOM_SCORE)
    throw no(`Invalid value ${score}, range for oom score adj is [-1000, 1000]`);
  if ((host.ShmSize ?? 0) < 0) throw no("SHM size can not be less than 0");
  if (host.IOMaximumBandwidth)
    throw no("invalid option: QoS maximum bandwidth configuration is not supported on linux");
  if (host.IOMaximumIOps)
    throw no("invalid option: QoS maximum IOPs configuration is not supported on linux");
}

/** What a container that shares the network of another, or the host's name, has of that one and cannot have itself. */
function refuseNetworkMode(body: CreateContainer, host: HostConfig): void {
  if (host.UTSMode === "host" && body.Hostname) throw no("conflicting options: hostname and the UTS mode");
  const mode = host.NetworkMode ?? "";
  if (mode !== "container" && !mode.startsWith("container:")) return;
  if (mode === "container" || mode === "container:")
    throw no("invalid network mode: invalid container format container:<name|id>");
  const conflicts: [unknown, string][] = [
    [body.Hostname, "hostname and the network mode"],
    [host.Dns?.length, "dns and the network mode"],
    [host.ExtraHosts?.length, "custom host-to-IP mapping and the network mode"],
    [
      host.PublishAllPorts || Object.keys(host.PortBindings ?? {}).length,
      "port publishing and the container type network mode",
    ],
    [Object.keys(body.ExposedPorts ?? {}).length, "port exposing and the container type network mode"],
  ];
  for (const [given, what] of conflicts) if (given) throw no(`conflicting options: ${what}`);
}
