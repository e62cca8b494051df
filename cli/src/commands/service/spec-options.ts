import { type Command, Option } from "commander";
import { cpus, duration, list, type Port, publish, ratio, size, whole } from "../options.ts";
import { score, type Ulimit, ulimit } from "./limits.ts";

/** What a service's spec can be given on the command line. */
export interface SpecOptions {
  name?: string;
  mode?: string;
  replicas?: number;
  maxConcurrent?: number;
  publish?: Port[];
  publishAdd?: Port[];
  publishRm?: Port[];
  env?: string[];
  envFile?: string[];
  envAdd?: string[];
  envRm?: string[];
  label?: string[];
  labelAdd?: string[];
  labelRm?: string[];
  containerLabel?: string[];
  containerLabelAdd?: string[];
  containerLabelRm?: string[];
  constraint?: string[];
  constraintAdd?: string[];
  constraintRm?: string[];
  placementPref?: string[];
  network?: string[];
  networkAdd?: string[];
  networkRm?: string[];
  mount?: string[];
  mountAdd?: string[];
  mountRm?: string[];
  secret?: string[];
  secretAdd?: string[];
  secretRm?: string[];
  config?: string[];
  configAdd?: string[];
  configRm?: string[];
  host?: string[];
  hostAdd?: string[];
  hostRm?: string[];
  dns?: string[];
  dnsAdd?: string[];
  dnsRm?: string[];
  dnsOption?: string[];
  dnsOptionAdd?: string[];
  dnsOptionRm?: string[];
  dnsSearch?: string[];
  dnsSearchAdd?: string[];
  dnsSearchRm?: string[];
  group?: string[];
  groupAdd?: string[];
  groupRm?: string[];
  sysctl?: string[];
  sysctlAdd?: string[];
  sysctlRm?: string[];
  ulimit?: Ulimit[];
  ulimitAdd?: Ulimit[];
  ulimitRm?: string[];
  genericResource?: string[];
  genericResourceAdd?: string[];
  genericResourceRm?: string[];
  placementPrefAdd?: string[];
  placementPrefRm?: string[];
  isolation?: string;
  oomScoreAdj?: number;
  healthStartInterval?: number;
  hostname?: string;
  workdir?: string;
  user?: string;
  entrypoint?: string;
  readOnly?: boolean;
  tty?: boolean;
  init?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  limitCpu?: number;
  limitMemory?: number;
  limitPids?: number;
  reserveCpu?: number;
  reserveMemory?: number;
  replicasMaxPerNode?: number;
  restartCondition?: string;
  restartDelay?: number;
  restartMaxAttempts?: number;
  restartWindow?: number;
  endpointMode?: string;
  stopGracePeriod?: number;
  stopSignal?: string;
  healthCmd?: string;
  healthInterval?: number;
  healthTimeout?: number;
  healthStartPeriod?: number;
  healthRetries?: number;
  healthcheck: boolean;
  updateParallelism?: number;
  updateDelay?: number;
  updateOrder?: string;
  updateFailureAction?: string;
  updateMonitor?: number;
  updateMaxFailureRatio?: number;
  rollbackParallelism?: number;
  rollbackDelay?: number;
  rollbackOrder?: string;
  rollbackFailureAction?: string;
  rollbackMonitor?: number;
  rollbackMaxFailureRatio?: number;
  logDriver?: string;
  logOpt?: string[];
  image?: string;
  args?: string;
  force?: boolean;
}

/** Options of `service create` alone: they say what there is. */
export function createOptions(command: Command): Command {
  return command
    .option("--name <name>", "its name")
    .addOption(
      new Option("--mode <mode>", "how its tasks are counted")
        .choices(["replicated", "global", "replicated-job", "global-job"])
        .default("replicated"),
    )
    .option("-p, --publish <port>", "publish a port on every node: [PUBLISHED:]TARGET[/PROTOCOL]", publish)
    .option("-e, --env <name=value>", "an environment variable", list)
    .option("--env-file <file>", "environment variables, one a line", list)
    .option("-l, --label <key=value>", "a label of the service", list)
    .option("--container-label <key=value>", "a label of its containers", list)
    .option("--constraint <expression>", "only on nodes that match (node.role==worker)", list)
    .option("--placement-pref <preference>", "spread=node.labels.KEY", list)
    .option("--network <network>", "an overlay network, or name=NETWORK[,alias=NAME]", list)
    .option("--mount <mount>", "type=bind|volume|tmpfs,source=…,target=…[,readonly]", list)
    .option(
      "--secret <secret>",
      "give its tasks a secret: NAME, or source=…[,target=…,uid=…,gid=…,mode=…]",
      list,
    )
    .option("--config <config>", "give its tasks a config, as --secret", list)
    .option("--host <name:address>", "a line of /etc/hosts", list)
    .option("--dns <address>", "a name server", list)
    .option("--dns-option <option>", "an option of the resolver", list)
    .option("--dns-search <domain>", "a search domain", list)
    .option("--group <group>", "a supplementary group of its processes", list)
    .option("--sysctl <name=value>", "a kernel parameter of its namespaces", list)
    .option("--ulimit <name=soft[:hard]>", "a limit of its processes", ulimit)
    .option("--generic-resource <kind=n>", "only on a node with so many of the kind free", list);
}

/** Options of `service update` alone: they say what changes. After {@link specOptions}, of which they undo some. */
export function changeOptions(command: Command): Command {
  command
    .option("--image <image>", "another image")
    .option("--args <words>", "other arguments of the command")
    .option("--force", "make all tasks anew, also where nothing changed")
    .option("--rollback", "back to the spec before")
    .option("--no-read-only", "the root may be written to")
    .option("--no-tty", "no terminal")
    .option("--no-init", "no init")
    .option("--publish-add <port>", "publish a port more", publish)
    .option("--publish-rm <port>", "no longer, by the target port", publish);
  const pairs: [string, string, string][] = [
    ["env", "name=value", "environment variable"],
    ["label", "key=value", "label of the service"],
    ["container-label", "key=value", "label of its containers"],
    ["constraint", "expression", "constraint"],
    ["network", "network", "network"],
    ["mount", "mount", "mount"],
    ["secret", "secret", "secret, as NAME or source=…,target=…"],
    ["config", "config", "config, as NAME or source=…,target=…"],
    ["host", "name:address", "line of /etc/hosts"],
    ["dns", "address", "name server"],
    ["dns-option", "option", "option of the resolver"],
    ["dns-search", "domain", "search domain"],
    ["group", "group", "supplementary group"],
    ["sysctl", "name=value", "kernel parameter"],
    ["generic-resource", "kind=n", "generic resource"],
    ["placement-pref", "preference", "placement preference"],
  ];
  for (const [name, value, what] of pairs) {
    command.option(`--${name}-add <${value}>`, `add or change: ${what}`, list);
    command.option(`--${name}-rm <${name === "mount" ? "target" : "key"}>`, `remove: ${what}`, list);
  }
  return command
    .option("--ulimit-add <name=soft[:hard]>", "add or change: limit of its processes", ulimit)
    .option("--ulimit-rm <name>", "remove: limit of its processes", list);
}

/** Options that `service create` and `service update` share. */
export function specOptions(command: Command): Command {
  command
    .option("--replicas <n>", "how many tasks", whole)
    .option("--replicas-max-per-node <n>", "at most so many tasks on one node (0: any)", whole)
    .option("--max-concurrent <n>", "of a job: how many tasks at once", whole)
    .option("--hostname <name>", "the containers' hostname")
    .option("-w, --workdir <dir>", "the working directory")
    .option("-u, --user <user>", "user or id, with an optional group")
    .option("--entrypoint <command>", "instead of the image's")
    .option("--read-only", "nothing may be written to the root")
    .option("-t, --tty", "give it a terminal")
    .option("--init", "a small init as its first process")
    .option("--cap-add <capability>", "one capability more", list)
    .option("--cap-drop <capability>", "one capability less", list)
    .option("--limit-cpu <cores>", "at most so many cores", cpus)
    .option("--limit-memory <bytes>", "at most so much memory", size)
    .option("--limit-pids <n>", "at most so many processes", whole)
    .option("--reserve-cpu <cores>", "only on a node with so many cores free", cpus)
    .option("--reserve-memory <bytes>", "only on a node with so much memory free", size)
    .addOption(
      new Option("--restart-condition <when>", "when a task is replaced").choices([
        "none",
        "on-failure",
        "any",
      ]),
    )
    .option("--restart-delay <duration>", "before a task is replaced", duration)
    .option("--restart-max-attempts <n>", "how often", whole)
    .option("--restart-window <duration>", "the time in which attempts are counted", duration)
    .addOption(
      new Option("--endpoint-mode <mode>", "one virtual address, or one each").choices(["vip", "dnsrr"]),
    )
    .option("--stop-grace-period <duration>", "between the stop signal and the end", duration)
    .option("--stop-signal <signal>", "instead of the image's")
    .option("--health-cmd <command>", "tells whether a task is healthy")
    .option("--health-interval <duration>", "between two checks", duration)
    .option("--health-timeout <duration>", "one check's time", duration)
    .option("--health-start-period <duration>", "failures that do not count at first", duration)
    .option("--health-start-interval <duration>", "between two checks in that time", duration)
    .option("--health-retries <n>", "failures one after another until it is unhealthy", whole)
    .option("--no-healthcheck", "not the image's health check either")
    .option("--no-resolve-image", "the image as it is named: what creel does anyway")
    .option("--with-registry-auth", "for docker's sake: nodes use the images that they have")
    .option("--isolation <isolation>", "default: the only one on Linux")
    .option("--oom-score-adj <n>", "how soon the kernel ends it when memory is short (-1000 to 1000)", score)
    .option("--log-driver <driver>", "where its output is kept")
    .option("--log-opt <name=value>", "an option of the log driver", list);
  for (const [kind, what, actions] of [
    ["update", "changed", ["pause", "continue", "rollback"]],
    ["rollback", "rolled back", ["pause", "continue"]],
  ] as const) {
    command
      .option(`--${kind}-parallelism <n>`, `tasks ${what} at once (0: all)`, whole)
      .option(`--${kind}-delay <duration>`, "between them", duration)
      .addOption(
        new Option(`--${kind}-order <order>`, "what comes first").choices(["stop-first", "start-first"]),
      )
      .addOption(new Option(`--${kind}-failure-action <action>`, "when tasks fail").choices(actions))
      .option(`--${kind}-monitor <duration>`, "how long a new task is watched", duration)
      .option(`--${kind}-max-failure-ratio <ratio>`, "the share of tasks that may fail", ratio);
  }
  return command;
}
