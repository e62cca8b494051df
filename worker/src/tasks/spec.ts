import type { Task } from "@creel/shared/gen/cluster/v1/objects.ts";
import { ContainerSpec, type File, type NetworkAttachment } from "@creel/shared/gen/engine/v1/container.ts";
import { fill, type TemplateContext, taskName } from "./templates.ts";

/** The label by which a task's container is found again. */
export const TASK_LABEL = "com.docker.swarm.task.id";
/** The bridge that gives tasks on overlay networks their way out. */
export const GATEWAY_BRIDGE = "creel_gwbridge";

/** What the task got of generic resources, as Docker tells it: `DOCKER_RESOURCE_GPU=uuid1,uuid2`. */
function resourceEnv({ genericResources }: Task): string[] {
  return genericResources.map(({ kind, count, names }) => {
    const value = names.length > 0 ? names.join(",") : String(count);
    return `DOCKER_RESOURCE_${kind.toUpperCase()}=${value}`;
  });
}

const MAX_GRACE_SECONDS = 2 ** 31 - 1;

/** Whether the task is reached over an overlay: others have to stop sending before it is stopped. */
export function isBalanced(task: Task): boolean {
  return task.attachments.length > 0;
}

/**
 * The container that runs a task. `ingress`: ids of ingress networks, which come first and give no default route;
 * `files`: its secrets and configs.
 */
export function containerSpec(
  context: TemplateContext,
  ingress: ReadonlySet<string>,
  files: File[] = [],
): ContainerSpec {
  const { task } = context;
  const container = task.spec!.container!;
  const text = (what: string) => (value: string) => fill(value, context, what);
  const limits = task.spec?.limits;
  return ContainerSpec.fromPartial({
    image: container.image,
    entrypoint: container.command,
    cmd: container.args,
    env: [...container.env.map(text("env")), ...resourceEnv(task)],
    workingDir: container.dir,
    user: container.user,
    groups: container.groups,
    hostname: text("hostname")(container.hostname),
    tty: container.tty,
    openStdin: container.openStdin,
    labels: {
      ...container.labels,
      "com.docker.swarm.node.id": context.nodeId,
      "com.docker.swarm.service.id": task.serviceId,
      "com.docker.swarm.service.name": task.serviceName,
      "com.docker.swarm.task": "",
      [TASK_LABEL]: task.id,
      "com.docker.swarm.task.name": taskName(task),
    },
    stopSignal: container.stopSignal,
    stopTimeoutSeconds: graceSeconds(task),
    healthcheck: container.healthcheck,
    mounts: container.mounts.map((mount) => ({
      ...mount,
      source: text("mount")(mount.source),
      target: text("mount")(mount.target),
    })),
    files,
    readOnly: container.readOnly,
    resources: {
      nanoCpus: limits?.nanoCpus ?? 0,
      memory: limits?.memory ?? 0,
      memoryReservation: task.spec?.reservations?.memoryBytes ?? 0,
      pidsLimit: limits?.pidsLimit ?? 0,
      oomScoreAdj: container.oomScoreAdj,
      ulimits: container.ulimits,
    },
    security: {
      capAdd: container.capAdd,
      capDrop: container.capDrop,
      noNewPrivileges: container.noNewPrivileges,
      seccomp: container.seccomp,
    },
    networks: attachments(task, ingress),
    ports: task.ports
      .filter((port) => port.publishMode === "host")
      .map((port) => ({
        hostIp: "",
        hostPort: port.publishedPort,
        containerPort: port.targetPort,
        protocol: port.protocol,
      })),
    dns: container.dns,
    extraHosts: container.hosts.flatMap(hostEntries),
    log: { driver: task.spec?.logDriver?.name ?? "", options: task.spec?.logDriver?.options ?? {} },
    init: container.init,
    sysctls: container.sysctls,
  });
}

/** Seconds between the stop signal and SIGKILL. */
export function graceSeconds(task: Task): number {
  const ms = task.spec?.container?.stopGracePeriod ?? 0;
  return ms > 0 ? Math.min(Math.max(1, Math.round(ms / 1000)), MAX_GRACE_SECONDS) : 10;
}

function attachments(task: Task, ingress: ReadonlySet<string>): NetworkAttachment[] {
  const overlay = (networkId: string, address: string, aliases: string[]) => ({
    network: networkId,
    address,
    mac: "",
    aliases,
    defaultRoute: false,
  });
  const order = [...task.attachments].sort(
    (a, b) => Number(ingress.has(b.networkId)) - Number(ingress.has(a.networkId)),
  );
  const list = order.map((a) => overlay(a.networkId, a.address, a.aliases));
  const way = task.attachments.length > 0 ? GATEWAY_BRIDGE : "bridge";
  list.push({ network: way, address: "", mac: "", aliases: [], defaultRoute: true });
  return list;
}

/** `"10.0.0.1 a b"` (Swarm's form) as the engine's `a:10.0.0.1`, `b:10.0.0.1`. */
function hostEntries(line: string): string[] {
  const [address, ...names] = line.trim().split(/\s+/);
  return names.map((name) => `${name}:${address}`);
}
