import type { Extends } from "../extends.ts";
import type { EnvFile, FileUse, Healthcheck, NetworkUse, Service, Ulimit } from "../model.ts";
import type { Node } from "../yaml/node.ts";
import { command, duration } from "./amounts.ts";
import { deploy } from "./deploy.ts";
import { mounts, tmpfs } from "./mounts.ts";
import { ports } from "./ports.ts";
import {
  anything,
  dictOf,
  flag,
  integer,
  isText,
  type Keys,
  list,
  object,
  oneOrList,
  pairs,
  type Read,
  type Scope,
  text,
  word,
} from "./shape.ts";

/** Keys that mean something to a single engine and nothing to a cluster: said once, and left alone. */
export const IGNORED = [
  "annotations",
  "attach",
  "blkio_config",
  "build",
  "cgroup",
  "cgroup_parent",
  "cgroupns_mode",
  "container_name",
  "cpu_count",
  "cpu_percent",
  "cpu_period",
  "cpu_rt_period",
  "cpu_rt_runtime",
  "depends_on",
  "develop",
  "device_cgroup_rules",
  "devices",
  "domainname",
  "expose",
  "external_links",
  "gpus",
  "ipc",
  "links",
  "mac_address",
  "mem_swappiness",
  "network_mode",
  "oom_kill_disable",
  "pid",
  "post_start",
  "pre_start",
  "pre_stop",
  "privileged",
  "pull_policy",
  "runtime",
  "security_opt",
  "shm_size",
  "storage_opt",
  "use_api_socket",
  "userns_mode",
  "uts",
];

const REFUSED = {
  cpu_quota: "use deploy.resources.limits.cpus",
  cpu_shares: "use deploy.resources.reservations.cpus",
  cpus: "use deploy.resources.limits.cpus",
  cpuset: "use deploy.resources.limits.cpus",
  mem_limit: "use deploy.resources.limits.memory",
  mem_reservation: "use deploy.resources.reservations.memory",
  memswap_limit: "use deploy.resources.limits.memory",
  models: "run the model as a service of its own",
  pids_limit: "use deploy.resources.limits.pids",
  provider: "a service of a stack needs an image",
  volume_driver: "name the volume under the top-level volumes, with its driver",
  volumes_from: "name the volume under the top-level volumes, and in each service that uses it",
};

const envFile: Read<EnvFile> = (node, scope) => {
  if (isText(node)) return { path: scope.resolve(node.value) };
  const long = object<EnvFile & { format?: string }>(
    { path: text, required: flag, format: text },
    { required: ["path"] },
  )(node, scope);
  return long && { path: scope.resolve(long.path), ...(long.required === false && { required: false }) };
};

const fileUse: Read<FileUse> = (node, scope) => {
  if (isText(node)) return { source: node.value };
  return object<FileUse>(
    { source: text, target: text, uid: word, gid: word, mode: integer(0, 0o7777) },
    { required: ["source"] },
  )(node, scope);
};

const networkUse = object<NetworkUse>({
  aliases: list(text),
  driver_opts: pairs(""),
  ipv4_address: ignoredHere,
  ipv6_address: ignoredHere,
  link_local_ips: ignoredHere,
  mac_address: ignoredHere,
  gw_priority: ignoredHere,
  interface_name: ignoredHere,
  priority: ignoredHere,
});

/** `extends: NAME`, or of another file. */
function extended(node: Node, scope: Scope): Extends | undefined {
  if (isText(node)) return { service: node.value };
  const found = object<Extends>({ service: text, file: text }, { required: ["service"] })(node, scope);
  return found && { ...found, ...(found.file !== undefined && { file: scope.resolve(found.file) }) };
}

/** A key that is taken and dropped, which is said. */
function ignoredHere(_node: Node, { path, problems }: Scope): undefined {
  problems.notes.add(`${path} is ignored: tasks get their addresses from the cluster`);
}

const networks: Read<Record<string, NetworkUse>> = (node, scope) => {
  if (node.kind === "dict") return dictOf(networkUse, () => ({}))(node, scope);
  const names = list(text)(node, scope);
  if (names === undefined) return undefined;
  names.forEach((name, i) => {
    scope.at(name, (node as { items: Node[] }).items[i]!.at);
  });
  return Object.fromEntries(names.map((name) => [name, {}]));
};

const test: Read<string[]> = (node, scope) => {
  if (isText(node)) return ["CMD-SHELL", node.value];
  const words = list(word)(node, scope);
  if (words === undefined || words.length === 0) return words;
  if (["NONE", "CMD", "CMD-SHELL"].includes(words[0]!)) return words;
  return scope.fail(node, `must begin with NONE, CMD or CMD-SHELL, not "${words[0]}"`);
};

const healthcheck: Read<Healthcheck> = object<Healthcheck>({
  test,
  interval: duration,
  timeout: duration,
  start_period: duration,
  start_interval: duration,
  retries: integer(),
  disable: flag,
});

const ulimit: Read<Ulimit> = (node, scope) => {
  const limit = integer(-1);
  if (node.kind === "dict")
    return object<Ulimit>({ soft: limit, hard: limit }, { required: ["soft", "hard"] })(node, scope);
  const both = limit(node, scope);
  return both === undefined ? undefined : { soft: both, hard: both };
};

/** `name:address`, from a mapping, or lines with : or = */
const extraHosts: Read<string[]> = (node, scope) => {
  if (node.kind === "dict") {
    const found = dictOf(oneOrList(text))(node, scope) ?? {};
    return Object.entries(found).flatMap(([name, addresses]) => addresses.map((each) => host(name, each)));
  }
  return list((line: Node, inner: Scope) => {
    const value = text(line, inner);
    const [, name, address] = /^([^=:]+)[=:](.+)$/.exec(value ?? "") ?? [];
    if (value === undefined || (name && address)) return value && host(name!, address!);
    return inner.fail(line, `"${value}" is not NAME:ADDRESS`);
  })(node, scope);
};
const host = (name: string, address: string) => `${name}:${address.replace(/^\[(.*)\]$/, "$1")}`;

const dependsOn: Read<Record<string, unknown>> = (node, scope) =>
  node.kind === "dict"
    ? dictOf(anything)(node, scope)
    : Object.fromEntries((list(text)(node, scope) ?? []).map((name) => [name, {}]));

const KEYS: Keys = {
  ...Object.fromEntries(IGNORED.map((key) => [key, anything])),
  cap_add: list(text),
  cap_drop: list(text),
  command,
  configs: list(fileUse),
  credential_spec: object({ config: text, file: text, registry: text }),
  depends_on: dependsOn,
  deploy,
  dns: oneOrList(text),
  dns_opt: list(text),
  dns_search: oneOrList(text),
  entrypoint: command,
  env_file: oneOrList(envFile),
  extends: extended,
  environment: pairs<string | null>(null),
  extra_hosts: extraHosts,
  group_add: list(word),
  healthcheck,
  hostname: text,
  image: text,
  init: flag,
  isolation: text,
  label_file: oneOrList((node: Node, scope: Scope) => {
    const path = text(node, scope);
    return path === undefined ? undefined : scope.resolve(path);
  }),
  labels: pairs(""),
  logging: object({ driver: text, options: pairs("") }),
  networks,
  oom_score_adj: integer(-1000, 1000),
  platform: text,
  ports,
  profiles: list(text),
  read_only: flag,
  restart: text,
  scale: integer(),
  secrets: list(fileUse),
  stdin_open: flag,
  stop_grace_period: duration,
  stop_signal: text,
  sysctls: pairs(""),
  tmpfs,
  tty: flag,
  ulimits: dictOf(ulimit),
  user: word,
  volumes: mounts,
  working_dir: text,
};

/** One service. */
export const service: Read<Service> = object<Service>(KEYS, { refused: REFUSED });
