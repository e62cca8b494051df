import { CreelError } from "@creel/shared";
import type { ContainerSpec, EndpointSpec, ServiceSpec, TaskSpec, UpdateConfig } from "../cluster.ts";
import type { ServiceBody, ServiceContainer, TaskTemplate, UpdateBody } from "../schema/service.ts";
import { fromConfigReference, fromSecretReference } from "./data.ts";
import { fromMount } from "./mounts.ts";
import { toHealthcheck, toResources, toUlimit } from "./resources.ts";

const millis = (nanos: number | null | undefined) => Math.round((nanos ?? 0) / 1e6);
const unsupported = (message: string) => new CreelError("unsupported", { message });
const invalid = (message: string) => new CreelError("invalid_parameter", { message });

/** The cluster's service for Docker's; meaning is checked where it is kept, here only the form. */
export function fromServiceBody(body: ServiceBody): ServiceSpec {
  return {
    name: body.Name ?? "",
    labels: body.Labels ?? {},
    task: fromTemplate(body.TaskTemplate ?? {}, body.Networks),
    mode: modeOf(body.Mode),
    update: fromUpdateConfig(body.UpdateConfig),
    rollback: fromUpdateConfig(body.RollbackConfig),
    endpoint: endpointOf(body.EndpointSpec),
  };
}

function modeOf(mode: ServiceBody["Mode"]): ServiceSpec["mode"] {
  const given = [mode?.Replicated, mode?.Global, mode?.ReplicatedJob, mode?.GlobalJob].filter(Boolean);
  if (given.length > 1) throw invalid("must specify only one service mode");
  if (mode?.Global) return { $case: "global", value: {} };
  if (mode?.GlobalJob) return { $case: "globalJob", value: {} };
  if (mode?.ReplicatedJob) {
    const total = mode.ReplicatedJob.TotalCompletions ?? mode.ReplicatedJob.MaxConcurrent ?? 1;
    return {
      $case: "replicatedJob",
      value: { maxConcurrent: mode.ReplicatedJob.MaxConcurrent ?? 1, totalCompletions: total },
    };
  }
  return { $case: "replicated", value: { replicas: mode?.Replicated?.Replicas ?? 1 } };
}

function endpointOf(spec: ServiceBody["EndpointSpec"]): EndpointSpec | undefined {
  if (!spec) return undefined;
  return {
    mode: spec.Mode ?? "",
    ports: (spec.Ports ?? []).map((port) => ({
      name: port.Name ?? "",
      protocol: port.Protocol || "tcp",
      targetPort: port.TargetPort ?? 0,
      publishedPort: port.PublishedPort ?? 0,
      publishMode: port.PublishMode || "ingress",
    })),
  };
}

function fromUpdateConfig(config: UpdateBody | null | undefined): UpdateConfig | undefined {
  if (!config) return undefined;
  return {
    parallelism: config.Parallelism ?? 0,
    delay: millis(config.Delay),
    failureAction: config.FailureAction ?? "",
    monitor: millis(config.Monitor),
    maxFailureRatio: config.MaxFailureRatio ?? 0,
    order: config.Order ?? "",
  };
}

function fromTemplate(template: TaskTemplate, legacy: ServiceBody["Networks"]): TaskSpec {
  const runtimes = [template.ContainerSpec, template.PluginSpec, template.NetworkAttachmentSpec].filter(
    Boolean,
  );
  if (runtimes.length > 1)
    throw invalid("TaskSpec: only one of ContainerSpec, PluginSpec and NetworkAttachmentSpec may be given");
  if (template.Runtime && template.Runtime !== "container") {
    throw unsupported(`the runtime ${template.Runtime} is not supported: services run containers`);
  }
  if (!template.ContainerSpec)
    throw invalid("TaskSpec: missing runtime: TaskTemplate.ContainerSpec must be given");
  const limits = template.Resources?.Limits;
  const reservations = template.Resources?.Reservations;
  const restart = template.RestartPolicy;
  const placement = template.Placement;
  return {
    container: fromContainer(template.ContainerSpec),
    limits: unlessEmpty({
      ...toResources({}),
      nanoCpus: limits?.NanoCPUs ?? 0,
      memory: limits?.MemoryBytes ?? 0,
      pidsLimit: limits?.Pids ?? 0,
    }),
    reservations: unlessEmpty({
      nanoCpus: reservations?.NanoCPUs ?? 0,
      memoryBytes: reservations?.MemoryBytes ?? 0,
      generic: Object.fromEntries((reservations?.GenericResources ?? []).map(genericOf)),
    }),
    restart: restart
      ? {
          condition: restart.Condition ?? "",
          delay: millis(restart.Delay),
          delaySet: restart.Delay !== null && restart.Delay !== undefined,
          maxAttempts: restart.MaxAttempts ?? 0,
          window: millis(restart.Window),
        }
      : undefined,
    placement: unlessEmpty({
      constraints: placement?.Constraints ?? [],
      spread: (placement?.Preferences ?? []).flatMap(({ Spread }) =>
        Spread ? [Spread.SpreadDescriptor] : [],
      ),
      maxReplicas: placement?.MaxReplicas ?? 0,
      platforms: (placement?.Platforms ?? []).map(({ Architecture, OS }) => ({
        architecture: Architecture ?? "",
        os: OS ?? "",
      })),
    }),
    networks: (template.Networks ?? legacy ?? []).map((network) => ({
      target: network.Target ?? "",
      aliases: network.Aliases ?? [],
      driverOptions: network.DriverOpts ?? {},
    })),
    logDriver: template.LogDriver
      ? { name: template.LogDriver.Name ?? "", options: template.LogDriver.Options ?? {} }
      : undefined,
    forceUpdate: template.ForceUpdate ?? 0,
    runtime: template.Runtime === "container" ? "" : (template.Runtime ?? ""),
  };
}

/**
 * Clients send what they were told back with a change of their own: an empty part and none must be the same, or scaling
 * a service would look like a change of its tasks.
 */
function unlessEmpty<T extends object>(part: T): T | undefined {
  const empty = (value: unknown) =>
    !value || (typeof value === "object" && Object.keys(value as object).length === 0);
  return Object.values(part).every(empty) ? undefined : part;
}

function genericOf(entry: {
  DiscreteResourceSpec?: { Kind: string; Value: number } | null;
}): [string, number] {
  const { DiscreteResourceSpec: resource } = entry;
  if (!resource) throw unsupported("only discrete generic resources (KIND=NUMBER) can be reserved");
  return [resource.Kind, resource.Value];
}

function fromContainer(container: ServiceContainer): ContainerSpec {
  if (container.Privileges?.CredentialSpec)
    throw unsupported("credential specs are of Windows: this node runs Linux containers");
  const dns = container.DNSConfig;
  return {
    image: container.Image ?? "",
    labels: container.Labels ?? {},
    command: container.Command ?? [],
    args: container.Args ?? [],
    hostname: container.Hostname ?? "",
    env: container.Env ?? [],
    dir: container.Dir ?? "",
    user: container.User ?? "",
    groups: container.Groups ?? [],
    tty: container.TTY ?? false,
    openStdin: container.OpenStdin ?? false,
    readOnly: container.ReadOnly ?? false,
    mounts: (container.Mounts ?? []).map((mount) => fromMount(mount)),
    stopSignal: container.StopSignal ?? "",
    stopGracePeriod: millis(container.StopGracePeriod),
    healthcheck: toHealthcheck(container.Healthcheck),
    hosts: container.Hosts ?? [],
    dns: unlessEmpty({
      servers: dns?.Nameservers ?? [],
      search: dns?.Search ?? [],
      options: dns?.Options ?? [],
    }),
    init: container.Init ?? undefined,
    sysctls: container.Sysctls ?? {},
    capAdd: container.CapabilityAdd ?? [],
    capDrop: container.CapabilityDrop ?? [],
    ulimits: (container.Ulimits ?? []).map(toUlimit),
    isolation: container.Isolation && container.Isolation !== "default" ? container.Isolation : "",
    noNewPrivileges: container.Privileges?.NoNewPrivileges ?? false,
    seccomp: seccompOf(container),
    oomScoreAdj: container.OomScoreAdj ?? 0,
    secrets: (container.Secrets ?? []).map(fromSecretReference),
    configs: (container.Configs ?? []).map(fromConfigReference),
  };
}

function seccompOf(container: ServiceContainer): string {
  const seccomp = container.Privileges?.Seccomp;
  switch (seccomp?.Mode ?? "") {
    case "":
    case "default":
      return "";
    case "unconfined":
      return "unconfined";
    case "custom":
      return Buffer.from(seccomp?.Profile ?? "", "base64").toString();
    default:
      throw invalid(`unknown seccomp mode: ${seccomp?.Mode}`);
  }
}
