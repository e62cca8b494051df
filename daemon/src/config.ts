import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CreelError, LOG_LEVELS, messageOf } from "@creel/shared";
import { Command, CommanderError, Option } from "commander";

import { root } from "./facts.ts";
import { type GenericResources, parseGenericResources } from "./generic-resources.ts";

const CONFIG_FILE = "/etc/creel/daemon.json";

/** How a daemon is configured: flags, then the file, then defaults. */
export interface DaemonConfig {
  dataRoot: string;
  execRoot: string;
  hosts: string[];
  pidfile: string;
  group: string;
  logLevel: string;
  labels: string[];
  genericResources: GenericResources;
  storageDriver: string;
  engineSocket: string;
  engineBinary: string;
  cgroupParent: string;
  /** Further OCI runtimes, each NAME=PATH. */
  runtimes: string[];
  defaultRuntime: string;
  init: boolean;
  /** Of containers that name none; empty: json-file. */
  logDriver: string;
  /** Options of that driver, each NAME=VALUE. */
  logOpts: string[];
  usernsRemap: string;
  tls: boolean;
  tlsverify: boolean;
  tlscacert: string;
  tlscert: string;
  tlskey: string;
  insecureTcp: boolean;
  /** host:port of a listener for /metrics alone; empty: none. */
  metricsAddr: string;
  configFile: string;
}

type Kind = "string" | "boolean" | "strings" | "programs" | "values";

/** What a value of each kind is, for the person whose value is none. */
const KINDS: Record<Kind, string> = {
  string: "a string",
  boolean: "a boolean",
  strings: "a list of strings",
  programs: 'an object as {"NAME": {"path": "PATH"}}',
  values: 'an object as {"NAME": "VALUE"}',
};

/** Names in the configuration file, with the flag each stands for and what it must be. */
const KEYS: Record<string, { option: string; kind: Kind }> = {
  "data-root": { option: "dataRoot", kind: "string" },
  "exec-root": { option: "execRoot", kind: "string" },
  hosts: { option: "host", kind: "strings" },
  pidfile: { option: "pidfile", kind: "string" },
  group: { option: "group", kind: "string" },
  "log-driver": { option: "logDriver", kind: "string" },
  "log-level": { option: "logLevel", kind: "string" },
  "log-opts": { option: "logOpt", kind: "values" },
  debug: { option: "debug", kind: "boolean" },
  labels: { option: "label", kind: "strings" },
  "node-generic-resources": { option: "nodeGenericResource", kind: "strings" },
  "storage-driver": { option: "storageDriver", kind: "string" },
  "engine-socket": { option: "engineSocket", kind: "string" },
  "engine-binary": { option: "engineBinary", kind: "string" },
  "cgroup-parent": { option: "cgroupParent", kind: "string" },
  runtimes: { option: "addRuntime", kind: "programs" },
  init: { option: "init", kind: "boolean" },
  "userns-remap": { option: "usernsRemap", kind: "string" },
  "default-runtime": { option: "defaultRuntime", kind: "string" },
  tls: { option: "tls", kind: "boolean" },
  tlsverify: { option: "tlsverify", kind: "boolean" },
  tlscacert: { option: "tlscacert", kind: "string" },
  tlscert: { option: "tlscert", kind: "string" },
  tlskey: { option: "tlskey", kind: "string" },
  "metrics-addr": { option: "metricsAddr", kind: "string" },
  "insecure-tcp": { option: "insecureTcp", kind: "boolean" },
};

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

function command(version: string): Command {
  return new Command("creeld")
    .description("The daemon of a Creel node: the Docker Engine API, and the node's part in a cluster.")
    .version(`creeld version ${version}`, "-v, --version", "print the version")
    .allowExcessArguments(false)
    .option(
      "--add-runtime <name=path>",
      "further OCI runtime for containers; runc and crun are found on the PATH (may be given several times)",
      collect,
    )
    .option("--cgroup-parent <path>", "cgroup that holds those of all containers")
    .option("--config-file <file>", `configuration file (default: ${CONFIG_FILE}, where it exists)`)
    .option("-D, --debug", "log at level debug")
    .option("--data-root <dir>", "what must outlive a reboot (default: /var/lib/creel)")
    .option("--default-runtime <name>", "runtime of containers that ask for none (default: creel)")
    .option("--engine-binary <path>", "the program creel-engine (default: the one built in this checkout)")
    .option("--engine-socket <path>", "socket of creel-engine (default: EXEC-ROOT/engine.sock)")
    .option("--exec-root <dir>", "what need not outlive a reboot (default: /run/creel)")
    .option(
      "-G, --group <name>",
      "group that may use the unix sockets (default: creel, else docker, where they exist)",
    )
    .option(
      "-H, --host <address>",
      "where to listen: unix://PATH, tcp://HOST:PORT or fd:// (may be given several times)",
      collect,
    )
    .option("--init", "containers that do not say otherwise have a small init as their first process")
    .option(
      "--insecure-tcp",
      "serve tcp:// without asking clients for a certificate: whoever reaches it is root here",
    )
    .option("--label <name=value>", "label of this node's engine (may be given several times)", collect)
    .option("--log-driver <name>", "log driver of containers that name none (default: json-file)")
    .addOption(new Option("-l, --log-level <level>", "what to log").choices([...LOG_LEVELS, "warning"]))
    .option("--log-opt <name=value>", "option of that log driver (may be given several times)", collect)
    .option("--metrics-addr <host:port>", "serve /metrics, and nothing else, to everybody there")
    .option(
      "--node-generic-resource <kind=value>",
      "what services can reserve here: gpu=UUID for each, or ssd=3 (may be given several times)",
      collect,
    )
    .option("-p, --pidfile <file>", "where to write the process id (default: EXEC-ROOT/creeld.pid)")
    .option(
      "-s, --storage-driver <name>",
      "how layers are stored (default: as before, else by the file system)",
    )
    .option("--tls", "serve tcp:// with TLS; implied by --tlsverify")
    .option(
      "--tlscacert <file>",
      "certificates of those who may sign clients' (default: /etc/creel/tls/ca.pem)",
    )
    .option("--tlscert <file>", "certificate of the server (default: /etc/creel/tls/cert.pem)")
    .option("--tlskey <file>", "its key (default: /etc/creel/tls/key.pem)")
    .option("--tlsverify", "serve tcp:// with TLS, to clients with a certificate of --tlscacert alone")
    .option(
      "--userns-remap <user>",
      "containers have users of their own: the subordinate ids of USER[:GROUP], or default",
    )
    .option("--validate", "check the configuration and end");
}

/** Thrown when the process has nothing more to do: help or version were printed, or the arguments are wrong. */
export class Exit extends Error {
  readonly code: number;

  constructor(code: number, message = "") {
    super(message);
    this.code = code;
  }
}

/** Reads the command line and the configuration file. */
export function readConfig(args: string[], version: string): DaemonConfig {
  const parser = command(version).exitOverride();
  parser.configureOutput({ writeErr: () => {} });
  try {
    parser.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new Exit(0);
    throw new Exit(125, `${error.message.replace(/^error: /, "")}\nSee 'creeld --help'.`);
  }
  const flags: Record<string, unknown> = parser.opts();
  const configFile = (flags.configFile as string | undefined) ?? CONFIG_FILE;
  const file = readFile(configFile, flags.configFile !== undefined, flags);
  const config = settle({ ...file, ...flags }, configFile);
  if (flags.validate) throw new Exit(0, "configuration OK");
  return config;
}

function readFile(path: string, required: boolean, flags: Record<string, unknown>): Record<string, unknown> {
  if (!required && !existsSync(path)) return {};
  const bad = (message: string, cause?: unknown) =>
    new CreelError(
      "invalid_parameter",
      { message: `unable to configure the daemon with file ${path}: ${message}` },
      { cause },
    );
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw bad(messageOf(error), error);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw bad("it holds no JSON object");
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(parsed)) {
    const key = KEYS[name];
    if (!key) throw bad(`the following directives don't match any configuration option: ${name}`);
    const setting = settingOf(key.kind, value);
    if (setting === undefined) throw bad(`${name} must be ${KINDS[key.kind]}`);
    if (flags[key.option] !== undefined) {
      throw bad(
        `the following directives are specified both as a flag and in the configuration file: ${name}`,
      );
    }
    settings[key.option] = setting;
  }
  return settings;
}

/** A value of the file as a flag would have given it; undefined if it is of another kind. */
function settingOf(kind: Kind, value: unknown): unknown {
  const strings = (list: unknown): list is string[] =>
    Array.isArray(list) && list.every((item) => typeof item === "string");
  if (kind === "strings") return strings(value) ? value : undefined;
  if (kind === "string" || kind === "boolean") return typeof value === kind ? value : undefined;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const inside = (each: unknown) => (kind === "programs" ? (each as { path?: unknown } | null)?.path : each);
  const entries = Object.entries(value).map(([name, each]) => [name, inside(each)] as const);
  return entries.every(([, text]) => typeof text === "string")
    ? entries.map(([name, text]) => `${name}=${text}`)
    : undefined;
}

function levelOf(level: string | undefined): string | undefined {
  return level === "warning" ? "warn" : level;
}

function metricsAddress(address: string): string {
  if (address !== "" && !/^[^:]*:\d{1,5}$/.test(address)) {
    throw new CreelError("invalid_parameter", {
      message: `invalid --metrics-addr ${address}: use HOST:PORT, as 127.0.0.1:9323`,
    });
  }
  return address;
}

function settle(given: Record<string, unknown>, configFile: string): DaemonConfig {
  const text = (name: string, absent: string) => (given[name] as string | undefined) ?? absent;
  const execRoot = text("execRoot", "/run/creel");
  const level = levelOf(given.logLevel as string | undefined) ?? "info";
  if (!(LOG_LEVELS as readonly string[]).includes(level)) {
    throw new CreelError("invalid_parameter", {
      message: `invalid logging level: ${level}; use one of ${LOG_LEVELS.join(", ")}`,
    });
  }
  for (const label of (given.label as string[] | undefined) ?? []) {
    if (!/^[^=]+=/.test(label))
      throw new CreelError("invalid_parameter", {
        message: `bad attribute format: ${label}: a label is NAME=VALUE`,
      });
  }
  return {
    dataRoot: text("dataRoot", "/var/lib/creel"),
    execRoot,
    hosts: (given.host as string[] | undefined) ?? [`unix://${execRoot}/creel.sock`],
    pidfile: text("pidfile", `${execRoot}/creeld.pid`),
    group: text("group", ""),
    logLevel: given.debug ? "debug" : level,
    labels: (given.label as string[] | undefined) ?? [],
    genericResources: parseGenericResources((given.nodeGenericResource as string[] | undefined) ?? []),
    storageDriver: text("storageDriver", ""),
    engineSocket: text("engineSocket", `${execRoot}/engine.sock`),
    engineBinary: text("engineBinary", join(root, "runtime-native/target/release/creel-engine")),
    cgroupParent: text("cgroupParent", "/creel"),
    runtimes: (given.addRuntime as string[] | undefined) ?? [],
    defaultRuntime: text("defaultRuntime", ""),
    init: Boolean(given.init),
    logDriver: text("logDriver", ""),
    logOpts: (given.logOpt as string[] | undefined) ?? [],
    usernsRemap: text("usernsRemap", ""),
    tls: Boolean(given.tls) || Boolean(given.tlsverify),
    tlsverify: Boolean(given.tlsverify),
    tlscacert: text("tlscacert", "/etc/creel/tls/ca.pem"),
    tlscert: text("tlscert", "/etc/creel/tls/cert.pem"),
    tlskey: text("tlskey", "/etc/creel/tls/key.pem"),
    insecureTcp: Boolean(given.insecureTcp),
    metricsAddr: metricsAddress(text("metricsAddr", "")),
    configFile,
  };
}
