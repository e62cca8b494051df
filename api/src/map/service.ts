import type {
  ContainerSpec,
  EndpointSpec,
  Network,
  PortConfig,
  Service,
  ServiceSpec,
  Task,
  TaskSpec,
  UpdateConfig,
} from "../cluster.ts";
import { TaskState } from "../cluster.ts";
import { fromMillis } from "../http/time.ts";
import { toConfigReference, toSecretReference } from "./data.ts";
import { toDiscrete } from "./generic-resources.ts";
import { toDockerMount } from "./mounts.ts";
import { fromHealthcheck } from "./resources.ts";

type Json = Record<string, unknown>;

const nanos = (millis: number) => millis * 1e6;
const some = <T>(list: T[]): T[] | undefined => (list.length > 0 ? list : undefined);
const filled = (map: Record<string, unknown>) => (Object.keys(map).length > 0 ? map : undefined);

/** An address with its network's prefix, as Docker writes addresses on overlays. */
export function withPrefix(address: string, network: Network | undefined): string {
  const prefix = network?.subnet.split("/")[1];
  return prefix === undefined ? address : `${address}/${prefix}`;
}

/** A service as Docker writes it. `defaults`: tell also what was left to Creel. */
export function toService(
  service: Service,
  networkOf: (id: string) => Network | undefined,
  defaults: boolean,
): Json {
  const { spec, updateStatus: update } = service;
  const published = spec?.endpoint?.ports.length || service.virtualIps.length;
  return {
    ID: service.id,
    Version: { Index: service.meta?.version ?? 0 },
    CreatedAt: fromMillis(service.meta?.createdAt ?? 0),
    UpdatedAt: fromMillis(service.meta?.updatedAt ?? 0),
    Spec: toServiceSpec(spec!, defaults),
    PreviousSpec: service.previousSpec && toServiceSpec(service.previousSpec, defaults),
    Endpoint: {
      Spec: published ? toEndpointSpec(spec?.endpoint) : {},
      Ports: some(service.ports.map(toPort)),
      VirtualIPs: some(
        service.virtualIps.map(({ networkId, address }) => ({
          NetworkID: networkId,
          Addr: withPrefix(address, networkOf(networkId)),
        })),
      ),
    },
    UpdateStatus:
      update && update.state !== ""
        ? {
            State: update.state,
            StartedAt: update.startedAt ? fromMillis(update.startedAt) : undefined,
            CompletedAt: update.completedAt ? fromMillis(update.completedAt) : undefined,
            Message: update.message,
          }
        : undefined,
    JobStatus: service.jobStatus && {
      JobIteration: { Index: service.jobStatus.iteration },
      LastExecution: fromMillis(service.jobStatus.lastExecution),
    },
  };
}

/** How many of a service's tasks run, and should; nobody knows of those on nodes that are down. */
export function toServiceStatus(service: Service, tasks: Task[], isDown: (nodeId: string) => boolean): Json {
  const mode = service.spec?.mode;
  const iteration = service.jobStatus?.iteration ?? 0;
  const current = tasks.filter((task) => task.jobIteration === iteration);
  const stateOf = (task: Task) => task.status?.state;
  const running = current.filter(
    (task) => stateOf(task) === TaskState.TASK_STATE_RUNNING && !isDown(task.nodeId),
  );
  const completed = service.jobStatus
    ? current.filter((task) => stateOf(task) === TaskState.TASK_STATE_COMPLETE)
    : [];
  const desired =
    mode?.$case === "replicated"
      ? mode.value.replicas
      : mode?.$case === "replicatedJob"
        ? mode.value.maxConcurrent
        : current.filter((task) => isWantedToRun(task)).length;
  return { RunningTasks: running.length, DesiredTasks: desired, CompletedTasks: completed.length };
}

/** It is to run now; a job's task that has completed is not. */
function isWantedToRun(task: Task): boolean {
  const done = task.jobIteration !== 0 && task.status?.state === TaskState.TASK_STATE_COMPLETE;
  return task.desiredState === TaskState.TASK_STATE_RUNNING && !done;
}

function toServiceSpec(spec: ServiceSpec, defaults: boolean): Json {
  return {
    Name: spec.name,
    Labels: spec.labels,
    TaskTemplate: toTemplate(spec.task!, defaults),
    Mode: toMode(spec),
    UpdateConfig: toUpdateConfig(spec.update, defaults),
    RollbackConfig: toUpdateConfig(spec.rollback, defaults),
    EndpointSpec: spec.endpoint || defaults ? toEndpointSpec(spec.endpoint) : undefined,
  };
}

function toMode({ mode }: ServiceSpec): Json {
  switch (mode?.$case) {
    case "global":
      return { Global: {} };
    case "globalJob":
      return { GlobalJob: {} };
    case "replicatedJob":
      return {
        ReplicatedJob: {
          MaxConcurrent: mode.value.maxConcurrent,
          TotalCompletions: mode.value.totalCompletions,
        },
      };
    default:
      return { Replicated: { Replicas: mode?.value.replicas ?? 1 } };
  }
}

function toUpdateConfig(config: UpdateConfig | undefined, defaults: boolean): Json | undefined {
  if (!config && !defaults) return undefined;
  return {
    Parallelism: config?.parallelism ?? 1,
    Delay: config?.delay ? nanos(config.delay) : undefined,
    FailureAction: config?.failureAction || "pause",
    Monitor: nanos(config?.monitor || 5000),
    MaxFailureRatio: config?.maxFailureRatio ?? 0,
    Order: config?.order || "stop-first",
  };
}

function toEndpointSpec(endpoint: EndpointSpec | undefined): Json {
  return { Mode: endpoint?.mode || "vip", Ports: some((endpoint?.ports ?? []).map(toPort)) };
}

/** A published port as Docker writes it. */
export function toPort(port: PortConfig): Json {
  return {
    Name: port.name || undefined,
    Protocol: port.protocol || "tcp",
    TargetPort: port.targetPort,
    PublishedPort: port.publishedPort || undefined,
    PublishMode: port.publishMode || "ingress",
  };
}

/** A task's specification as Docker writes it. */
export function toTemplate(task: TaskSpec, defaults: boolean): Json {
  const { limits, reservations, restart, placement } = task;
  return {
    ContainerSpec: toContainer(task.container!, defaults),
    Resources: {
      Limits: limits && {
        NanoCPUs: limits.nanoCpus || undefined,
        MemoryBytes: limits.memory || undefined,
        Pids: limits.pidsLimit || undefined,
      },
      Reservations: reservations && {
        NanoCPUs: reservations.nanoCpus || undefined,
        MemoryBytes: reservations.memoryBytes || undefined,
        GenericResources: some(
          Object.entries(reservations.generic).map(([kind, count]) => toDiscrete(kind, count)),
        ),
      },
    },
    RestartPolicy:
      restart || defaults
        ? {
            Condition: restart?.condition || "any",
            Delay: nanos(restart?.delaySet ? restart.delay : restart?.delay || 5000),
            MaxAttempts: restart?.maxAttempts ?? 0,
            Window: restart?.window ? nanos(restart.window) : undefined,
          }
        : undefined,
    Placement: {
      Constraints: placement && some(placement.constraints),
      Preferences:
        placement && some(placement.spread.map((SpreadDescriptor) => ({ Spread: { SpreadDescriptor } }))),
      MaxReplicas: placement?.maxReplicas || undefined,
      Platforms:
        placement &&
        some(placement.platforms.map(({ architecture, os }) => ({ Architecture: architecture, OS: os }))),
    },
    Networks: some(
      task.networks.map(({ target, aliases, driverOptions }) => ({
        Target: target,
        Aliases: some(aliases),
        DriverOpts: filled(driverOptions),
      })),
    ),
    LogDriver: task.logDriver && { Name: task.logDriver.name, Options: filled(task.logDriver.options) },
    ForceUpdate: task.forceUpdate,
    Runtime: task.runtime || "container",
  };
}

function toContainer(container: ContainerSpec, defaults: boolean): Json {
  const { dns } = container;
  const privileged = container.noNewPrivileges || container.seccomp !== "";
  return {
    Image: container.image,
    Labels: filled(container.labels),
    Command: some(container.command),
    Args: some(container.args),
    Hostname: container.hostname || undefined,
    Env: some(container.env),
    Dir: container.dir || undefined,
    User: container.user || undefined,
    Groups: some(container.groups),
    Privileges: privileged
      ? { NoNewPrivileges: container.noNewPrivileges, Seccomp: toSeccomp(container.seccomp) }
      : undefined,
    TTY: container.tty || undefined,
    OpenStdin: container.openStdin || undefined,
    ReadOnly: container.readOnly || undefined,
    Mounts: some(container.mounts.map(toDockerMount)),
    StopSignal: container.stopSignal || undefined,
    StopGracePeriod:
      container.stopGracePeriod || defaults ? nanos(container.stopGracePeriod || 10_000) : undefined,
    Healthcheck: fromHealthcheck(container.healthcheck),
    Hosts: some(container.hosts),
    Secrets: some(container.secrets.map(toSecretReference)),
    Configs: some(container.configs.map(toConfigReference)),
    DNSConfig:
      dns || defaults
        ? {
            Nameservers: some(dns?.servers ?? []),
            Search: some(dns?.search ?? []),
            Options: some(dns?.options ?? []),
          }
        : undefined,
    Init: container.init,
    Isolation: container.isolation || "default",
    Sysctls: filled(container.sysctls),
    OomScoreAdj: container.oomScoreAdj || undefined,
    CapabilityAdd: some(container.capAdd),
    CapabilityDrop: some(container.capDrop),
    Ulimits: some(container.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard }))),
  };
}

function toSeccomp(seccomp: string): Json | undefined {
  if (seccomp === "") return undefined;
  if (seccomp === "unconfined") return { Mode: "unconfined" };
  return { Mode: "custom", Profile: Buffer.from(seccomp).toString("base64") };
}

/**
 * A service that cannot come to be as wanted shows as one whose update is paused: the one state by which clients that
 * wait for it end with its message.
 */
export function withStuck(written: Json, { updateStatus }: Service, stuck: string): Json {
  const state = updateStatus?.state ?? "";
  if (stuck === "" || state.includes("paused") || state === "rollback_completed") return written;
  const known = written.UpdateStatus as Json | undefined;
  const State = state === "rollback_started" ? "rollback_paused" : "paused";
  return { ...written, UpdateStatus: { ...known, State, Message: `cannot converge: ${stuck}` } };
}
