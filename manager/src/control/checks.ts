import type {
  ContainerSpec,
  EndpointSpec,
  PortConfig,
  Reservations,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Healthcheck, Resources } from "@creel/shared/gen/engine/v1/container.ts";
import { parseConstraint } from "../scheduler/mod.ts";
import { checkName, invalid } from "./names.ts";
import { checkReferences } from "./references.ts";
import { checkSpecLimits } from "./spec-limits.ts";
import { checkTemplate } from "./templates.ts";

const MIN_MEMORY = 4 << 20;
const MIN_NANO_CPUS = 1_000_000;
/** In nanoseconds. */
const SHORTEST_CHECK = 1_000_000;
const MAX_REPLICAS = 1_000_000;
/** registry/path:tag@digest, as strict as a look at the text can be. */
const REFERENCE =
  /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?$/;
const ID = /^[0-9a-f]{64}$|^sha256:[0-9a-f]{64}$/;

/** Refuses a service's spec that could never run, with the field that is wrong. Looks at nothing but the spec. */
export function checkServiceSpec(spec: ServiceSpec): void {
  checkSpecLimits(spec);
  checkName(spec.name);
  checkMode(spec);
  if (!spec.task) throw invalid("TaskSpec: missing");
  checkTask(spec.task);
  if (isJobMode(spec)) {
    if (spec.update) throw invalid("Jobs may not have an update config");
    if (spec.rollback) throw invalid("Jobs may not have a rollback config");
  }
  checkUpdate("update", spec.update);
  checkUpdate("rollback", spec.rollback);
  if (spec.endpoint) checkEndpoint(spec.endpoint);
}

function isJobMode({ mode }: ServiceSpec): boolean {
  return mode?.$case === "replicatedJob" || mode?.$case === "globalJob";
}

function checkMode({ mode }: ServiceSpec): void {
  switch (mode?.$case) {
    case undefined:
      throw invalid("a service needs a mode: replicated, global, replicated-job or global-job");
    case "replicated":
      checkCount("replicas", mode.value.replicas);
      return;
    case "replicatedJob":
      checkCount("total completions", mode.value.totalCompletions);
      checkCount("max concurrent tasks", mode.value.maxConcurrent);
      return;
    case "global":
    case "globalJob":
      return;
  }
}

function checkCount(what: string, count: number): void {
  if (!(count >= 0 && count <= MAX_REPLICAS)) throw invalid(`${what} must be between 0 and ${MAX_REPLICAS}`);
}

function checkTask(task: TaskSpec): void {
  if (task.runtime !== "" && task.runtime !== "container") {
    throw invalid(`TaskSpec: unknown runtime ${task.runtime}`);
  }
  checkContainer(task.container);
  checkAmounts("limit", task.limits && { nanoCpus: task.limits.nanoCpus, memoryBytes: task.limits.memory });
  checkAmounts("reservation", task.reservations);
  if (task.reservations) checkGeneric(task.reservations);
  checkLimitsFit(task.limits, task.reservations);
  const { restart, placement } = task;
  if (restart) {
    if (!["", "any", "none", "on-failure"].includes(restart.condition)) {
      throw invalid(`TaskSpec: unknown restart condition ${restart.condition}: use none, on-failure or any`);
    }
    if (restart.delay < 0) throw invalid("TaskSpec: restart-delay cannot be negative");
    if (restart.window < 0) throw invalid("TaskSpec: restart-window cannot be negative");
  }
  for (const constraint of placement?.constraints ?? []) checkConstraint(constraint);
  const targets = task.networks.map((network) => network.target);
  const twice = targets.find((target, at) => targets.indexOf(target) !== at);
  if (twice) throw invalid(`network ${twice} is named twice`);
}

function checkConstraint(text: string): void {
  const parsed = parseConstraint(text);
  if (!("message" in parsed)) return;
  throw invalid(
    `invalid constraint "${text}", at character ${parsed.position + 1}: ${parsed.message}; ${parsed.hint}`,
  );
}

function checkContainer(container: ContainerSpec | undefined): void {
  if (!container) throw invalid("TaskSpec: missing runtime");
  if (container.image === "") throw invalid("ContainerSpec: image reference must be provided");
  if (!REFERENCE.test(container.image) && !ID.test(container.image)) {
    throw invalid(`ContainerSpec: "${container.image}" is not a valid repository/tag`);
  }
  const seen = new Set<string>();
  for (const mount of container.mounts) {
    if (!mount.target.startsWith("/")) {
      throw invalid(`ContainerSpec: invalid mount target, must be an absolute path: ${mount.target}`);
    }
    if (seen.has(mount.target)) throw invalid(`ContainerSpec: duplicate mount point: ${mount.target}`);
    seen.add(mount.target);
    if (mount.type === "bind" && !mount.source.startsWith("/")) {
      throw invalid(`ContainerSpec: invalid bind mount source, must be an absolute path: ${mount.source}`);
    }
  }
  if (container.isolation !== "" && container.isolation !== "default") {
    throw invalid(
      `ContainerSpec: isolation ${container.isolation} is of Windows: on Linux only default is known`,
    );
  }
  const { env, hostname, mounts } = container;
  for (const text of env) checkTemplate("env", text);
  checkTemplate("hostname", hostname);
  for (const { source, target } of mounts) for (const text of [source, target]) checkTemplate("mount", text);
  checkReferences(container.secrets, container.configs);
  if (container.stopGracePeriod < 0) throw invalid("ContainerSpec: stop grace period cannot be negative");
  checkHealth(container.healthcheck);
}

function checkHealth(check: Healthcheck | undefined): void {
  if (!check) return;
  for (const [name, nanos] of [
    ["Interval", check.intervalNanos],
    ["Timeout", check.timeoutNanos],
    ["StartPeriod", check.startPeriodNanos],
    ["StartInterval", check.startIntervalNanos],
  ] as const) {
    if (nanos !== 0 && nanos < SHORTEST_CHECK)
      throw invalid(`ContainerSpec: ${name} in HealthConfig cannot be less than 1ms`);
  }
  if (check.retries < 0) throw invalid("ContainerSpec: Retries in HealthConfig cannot be negative");
}

function checkAmounts(what: string, amounts: { nanoCpus: number; memoryBytes: number } | undefined): void {
  if (!amounts) return;
  if (amounts.nanoCpus !== 0 && !(amounts.nanoCpus >= MIN_NANO_CPUS)) {
    throw invalid(`invalid cpu ${what} ${amounts.nanoCpus / 1e9}: Must be at least ${MIN_NANO_CPUS / 1e9}`);
  }
  if (amounts.memoryBytes !== 0 && !(amounts.memoryBytes >= MIN_MEMORY)) {
    throw invalid(`invalid memory ${what} ${amounts.memoryBytes}: Must be at least 4MiB`);
  }
}

function checkGeneric({ generic }: Reservations): void {
  for (const [kind, count] of Object.entries(generic)) {
    if (!Number.isSafeInteger(count) || count < 1) {
      throw invalid(`invalid generic-resource ${kind}=${count}: the number must be at least 1`);
    }
    if (kind === "cpu" || kind === "memory") {
      throw invalid(`invalid generic-resource ${kind}: use --reserve-cpu and --reserve-memory`);
    }
  }
}

function checkLimitsFit(limits: Resources | undefined, reservations: Reservations | undefined): void {
  if (!limits || !reservations) return;
  if (limits.memory !== 0 && reservations.memoryBytes > limits.memory) {
    throw invalid(`memory reservation ${reservations.memoryBytes} is above the limit ${limits.memory}`);
  }
  if (limits.nanoCpus !== 0 && reservations.nanoCpus > limits.nanoCpus) {
    throw invalid(
      `cpu reservation ${reservations.nanoCpus / 1e9} is above the limit ${limits.nanoCpus / 1e9}`,
    );
  }
}

function checkUpdate(what: "update" | "rollback", config: UpdateConfig | undefined): void {
  if (!config) return;
  const known = what === "update" ? ["", "pause", "continue", "rollback"] : ["", "pause", "continue"];
  if (!known.includes(config.failureAction)) {
    throw invalid(
      `unknown ${what}-failure-action ${config.failureAction}: use ${known.slice(1).join(" or ")}`,
    );
  }
  if (!["", "stop-first", "start-first"].includes(config.order)) {
    throw invalid(`unknown ${what}-order ${config.order}: use stop-first or start-first`);
  }
  if (config.delay < 0) throw invalid(`TaskSpec: ${what}-delay cannot be negative`);
  if (config.monitor < 0) throw invalid(`TaskSpec: ${what}-monitor cannot be negative`);
  if (!(config.maxFailureRatio >= 0 && config.maxFailureRatio <= 1)) {
    throw invalid(`TaskSpec: ${what}-maxfailureratio cannot be less than 0 or bigger than 1`);
  }
}

function checkEndpoint(endpoint: EndpointSpec): void {
  if (!["", "vip", "dnsrr"].includes(endpoint.mode)) {
    throw invalid(`EndpointSpec: unknown mode ${endpoint.mode}: use vip or dnsrr`);
  }
  const published = new Set<string>();
  for (const port of endpoint.ports) {
    checkPort(port);
    const ingress = port.publishMode !== "host";
    if (ingress && endpoint.mode === "dnsrr") {
      throw invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode");
    }
    if (port.publishedPort === 0) continue;
    const key = `${port.publishMode || "ingress"} ${port.publishedPort}/${port.protocol || "tcp"}`;
    if (published.has(key)) throw invalid("EndpointSpec: duplicate published ports provided");
    published.add(key);
  }
}

function checkPort(port: PortConfig): void {
  if (!["", "tcp", "udp", "sctp"].includes(port.protocol)) {
    throw invalid(`EndpointSpec: unknown protocol ${port.protocol}: use tcp or udp`);
  }
  if (!["", "ingress", "host"].includes(port.publishMode)) {
    throw invalid(`EndpointSpec: unknown publish mode ${port.publishMode}: use ingress or host`);
  }
  if (!(port.targetPort >= 1 && port.targetPort <= 65_535)) {
    throw invalid(`EndpointSpec: target port must be between 1 and 65535, got ${port.targetPort}`);
  }
  if (!(port.publishedPort >= 0 && port.publishedPort <= 65_535)) {
    throw invalid(`EndpointSpec: published port must be between 1 and 65535, got ${port.publishedPort}`);
  }
}
