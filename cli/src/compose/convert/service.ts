import type { Deploy, FileUse, Healthcheck, Model, Port, Service, UpdateConfig } from "../model.ts";
import { bytes, nanoseconds } from "../read/amounts.ts";
import { mountsOf } from "./mounts.ts";
import { type FileReference, IMAGE, type StackServiceSpec } from "./specs.ts";

/** How the stack's own things are called in the cluster. */
export interface Names {
  stack: string;
  labels(own?: Record<string, string>): Record<string, string>;
  of(kind: "networks" | "volumes" | "secrets" | "configs", key: string): string;
}

/** The cluster's service for one of a compose file. */
export function serviceSpec(key: string, service: Service, model: Model, names: Names): StackServiceSpec {
  const { deploy = {}, image = "" } = service;
  return {
    Name: `${names.stack}_${key}`,
    Labels: { ...names.labels(deploy.labels), [IMAGE]: image },
    TaskTemplate: {
      ContainerSpec: containerSpec(service, model, names),
      ...optional("Resources", resourcesOf(deploy)),
      ...optional("RestartPolicy", restartOf(service)),
      Placement: placementOf(service),
      Networks: networksOf(key, service, model, names),
      ...(service.logging && {
        LogDriver: {
          Name: service.logging.driver ?? "",
          ...(service.logging.options && { Options: service.logging.options }),
        },
      }),
    },
    Mode: modeOf(service),
    ...optional("UpdateConfig", updateOf(deploy.update_config)),
    ...optional("RollbackConfig", updateOf(deploy.rollback_config)),
    EndpointSpec: { Mode: deploy.endpoint_mode ?? "", Ports: (service.ports ?? []).map(portOf).sort(byPort) },
  };
}

function containerSpec(
  service: Service,
  model: Model,
  names: Names,
): StackServiceSpec["TaskTemplate"]["ContainerSpec"] {
  const { dns, dns_search, dns_opt, credential_spec: credential } = service;
  const spec = {
    Image: tagged(service.image ?? ""),
    Command: service.entrypoint,
    Args: service.command,
    Hostname: service.hostname,
    Hosts: service.extra_hosts?.map((line) => {
      const split = line.indexOf(":");
      return `${line.slice(split + 1)} ${line.slice(0, split)}`;
    }),
    DNSConfig:
      dns || dns_search || dns_opt
        ? given({ Nameservers: dns, Search: dns_search, Options: dns_opt })
        : undefined,
    Healthcheck: service.healthcheck && healthcheckOf(service.healthcheck),
    Env:
      service.environment &&
      Object.entries(service.environment)
        .map(([name, value]) => (value === null ? name : `${name}=${value}`))
        .sort(),
    Labels: names.labels(service.labels),
    Dir: service.working_dir,
    User: service.user,
    Groups: service.group_add,
    Mounts: mountsOf(service, model, names),
    StopGracePeriod:
      service.stop_grace_period === undefined ? undefined : nanoseconds(service.stop_grace_period),
    StopSignal: service.stop_signal,
    TTY: service.tty || undefined,
    OpenStdin: service.stdin_open || undefined,
    ReadOnly: service.read_only || undefined,
    Secrets: references(service.secrets, (use) => ({ ...use, SecretName: names.of("secrets", use.key) })),
    Configs: configsOf(service, names),
    Privileges: credential && {
      CredentialSpec: given({
        Config: credential.config && names.of("configs", credential.config),
        File: credential.file,
        Registry: credential.registry,
      }),
    },
    Isolation: service.isolation,
    Init: service.init,
    Sysctls: service.sysctls,
    CapabilityAdd: capabilities(service.cap_add),
    CapabilityDrop: capabilities(service.cap_drop, service.cap_add),
    Ulimits:
      service.ulimits &&
      Object.entries(service.ulimits)
        .map(([Name, { soft, hard }]) => ({ Name, Soft: soft, Hard: hard }))
        .sort((a, b) => (a.Name < b.Name ? -1 : 1)),
    OomScoreAdj: service.oom_score_adj,
  };
  return given(spec) as StackServiceSpec["TaskTemplate"]["ContainerSpec"];
}

/** The image with the tag that is meant when there is none, as Docker names it. */
function tagged(image: string): string {
  const name = image.slice(image.lastIndexOf("/") + 1);
  return image === "" || /[:@]/.test(name) ? image : `${image}:latest`;
}

/** As Docker sends them: whole names, sorted; what is added is not dropped. */
function capabilities(names: string[] | undefined, added: string[] = []): string[] | undefined {
  const whole = (name: string) => {
    const upper = name.toUpperCase();
    return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  };
  const kept = new Set(added.map(whole));
  const found = [...new Set(names?.map(whole))].filter((name) => !kept.has(name)).sort();
  if (found.length === 0) return undefined;
  return found.includes("ALL") ? ["ALL"] : found;
}

function configsOf(service: Service, names: Names): FileReference[] | undefined {
  const files = references(service.configs, (use) => ({ ...use, ConfigName: names.of("configs", use.key) }));
  const config = service.credential_spec?.config;
  if (config === undefined) return files;
  return [...(files ?? []), { Runtime: {}, ConfigName: names.of("configs", config) }];
}

function references(
  uses: FileUse[] | undefined,
  named: (use: { File: FileReference["File"]; key: string }) => FileReference & { key?: string },
): FileReference[] | undefined {
  const found = uses?.map(({ source, target = source, uid = "0", gid = "0", mode = 0o444 }) => {
    const { key: _, ...reference } = named({
      key: source,
      File: { Name: target, UID: uid, GID: gid, Mode: mode },
    });
    return reference as FileReference;
  });
  const name = (use: FileReference) => use.SecretName ?? use.ConfigName ?? "";
  return found?.sort((a, b) => (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0));
}

function healthcheckOf(check: Healthcheck): object {
  if (check.disable) return { Test: ["NONE"] };
  const span = (text: string | undefined) => (text === undefined ? undefined : nanoseconds(text));
  return given({
    Test: check.test,
    Interval: span(check.interval),
    Timeout: span(check.timeout),
    StartPeriod: span(check.start_period),
    StartInterval: span(check.start_interval),
    Retries: check.retries,
  });
}

function resourcesOf({ resources }: Deploy): object | undefined {
  const { limits, reservations } = resources ?? {};
  const amounts = (of: { cpus?: string; memory?: string }) => ({
    NanoCPUs: of.cpus === undefined ? undefined : Math.round(Number(of.cpus) * 1e9),
    MemoryBytes: of.memory === undefined ? undefined : bytes(of.memory),
  });
  if (!limits && !reservations) return undefined;
  return given({
    Limits: limits && given({ ...amounts(limits), Pids: limits.pids }),
    Reservations:
      reservations &&
      given({
        ...amounts(reservations),
        GenericResources: reservations.generic_resources?.flatMap(({ discrete_resource_spec: it }) =>
          it ? [{ DiscreteResourceSpec: { Kind: it.kind, Value: it.value } }] : [],
        ),
      }),
  });
}

function restartOf({ restart, deploy }: Service): object | undefined {
  const policy = deploy?.restart_policy;
  if (policy) {
    const span = (text: string | undefined) => (text === undefined ? undefined : nanoseconds(text));
    return given({
      Condition: policy.condition,
      Delay: span(policy.delay),
      MaxAttempts: policy.max_attempts,
      Window: span(policy.window),
    });
  }
  const [condition, attempts] = restart?.split(":") ?? [];
  if (condition === undefined || condition === "no") return undefined;
  const most = Number(attempts ?? 0);
  return {
    Condition: condition === "on-failure" ? "on-failure" : "any",
    ...(most > 0 && { MaxAttempts: most }),
  };
}

function placementOf({ deploy, platform }: Service): object {
  const { constraints, preferences, max_replicas_per_node } = deploy?.placement ?? {};
  const [os, architecture] = platform?.split("/") ?? [];
  return given({
    Constraints: constraints,
    Preferences: preferences?.map(({ spread }) => ({ Spread: { SpreadDescriptor: spread } })),
    MaxReplicas: max_replicas_per_node,
    Platforms: platform && [given({ OS: os, Architecture: architecture })],
  });
}

function networksOf(
  key: string,
  { networks = {} }: Service,
  model: Model,
  names: Names,
): StackServiceSpec["TaskTemplate"]["Networks"] {
  const uses = Object.keys(networks).length > 0 ? networks : { default: {} };
  return Object.entries(uses)
    .map(([network, { aliases = [], driver_opts }]) => {
      const { external, name } = model.networks[network] ?? {};
      return {
        Target: external ? (name ?? network) : names.of("networks", network),
        Aliases: [...aliases, key],
        ...(driver_opts && { DriverOpts: driver_opts }),
      };
    })
    .sort((a, b) => (a.Target < b.Target ? -1 : 1));
}

function modeOf({ deploy, scale }: Service): object {
  const replicas = deploy?.replicas ?? scale;
  switch (deploy?.mode) {
    case "global":
      return { Global: {} };
    case "global-job":
      return { GlobalJob: {} };
    case "replicated-job":
      return { ReplicatedJob: given({ MaxConcurrent: replicas, TotalCompletions: replicas }) };
    default:
      return { Replicated: given({ Replicas: replicas }) };
  }
}

function updateOf(config: UpdateConfig | undefined): object | undefined {
  if (config === undefined) return undefined;
  return given({
    Parallelism: config.parallelism ?? 1,
    Delay: config.delay === undefined ? undefined : nanoseconds(config.delay),
    FailureAction: config.failure_action,
    Monitor: config.monitor === undefined ? undefined : nanoseconds(config.monitor),
    MaxFailureRatio: config.max_failure_ratio ?? 0,
    Order: config.order,
  });
}

interface PortSpec {
  Protocol: string;
  TargetPort: number;
  PublishedPort?: number;
  PublishMode: string;
}

function portOf({ target, published, protocol = "tcp", mode = "ingress" }: Port): PortSpec {
  return {
    Protocol: protocol,
    TargetPort: target,
    ...(published !== undefined && { PublishedPort: published }),
    PublishMode: mode,
  };
}

const byPort = (a: PortSpec, b: PortSpec) =>
  a.TargetPort - b.TargetPort ||
  (a.PublishedPort ?? 0) - (b.PublishedPort ?? 0) ||
  a.Protocol.localeCompare(b.Protocol);

const optional = (key: string, value: object | undefined) => (value === undefined ? {} : { [key]: value });

/** The object without what is not given. */
function given<T extends object>(of: T): Partial<T> {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as Partial<T>;
}
