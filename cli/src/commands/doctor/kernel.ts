import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { gunzipSync } from "node:zlib";
import { type Finding, finding } from "./check.ts";

interface Feature {
  name: string;
  option: string;
  modules: string[];
  /** A file that exists only where the feature does. */
  sign?: string;
  isNeeded: boolean;
  means: string;
}

const FEATURES: Feature[] = [
  {
    name: "overlayfs",
    option: "OVERLAY_FS",
    modules: ["overlay"],
    isNeeded: false,
    means: "the storage driver overlay2 cannot be used; vfs works, and copies each layer",
  },
  {
    name: "veth",
    option: "VETH",
    modules: ["veth"],
    isNeeded: true,
    means: "containers can have no network",
  },
  {
    name: "bridge",
    option: "BRIDGE",
    modules: ["bridge"],
    isNeeded: true,
    means: "containers can have no network",
  },
  {
    name: "vxlan",
    option: "VXLAN",
    modules: ["vxlan"],
    isNeeded: true,
    means: "overlay networks cannot be made: services cannot talk across nodes",
  },
  {
    name: "nftables",
    option: "NF_TABLES",
    modules: ["nf_tables"],
    isNeeded: true,
    means: "ports cannot be published and services not balanced",
  },
  {
    name: "nftables NAT",
    option: "NFT_NAT",
    modules: ["nft_nat", "nft_chain_nat"],
    isNeeded: true,
    means: "ports cannot be published and services not balanced",
  },
  {
    name: "nftables numgen",
    option: "NFT_NUMGEN",
    modules: ["nft_numgen"],
    isNeeded: true,
    means: "services cannot be balanced over their tasks",
  },
  {
    name: "conntrack",
    option: "NF_CONNTRACK",
    modules: ["nf_conntrack"],
    isNeeded: true,
    means: "ports cannot be published",
  },
  {
    name: "dummy devices",
    option: "DUMMY",
    modules: ["dummy"],
    isNeeded: false,
    means: "some network set-ups cannot be made",
  },
  {
    name: "seccomp",
    option: "SECCOMP_FILTER",
    modules: [],
    sign: "/proc/sys/kernel/seccomp/actions_avail",
    isNeeded: true,
    means:
      "containers would run without a filter of system calls: only --security-opt seccomp=unconfined works",
  },
  {
    name: "BPF",
    option: "CGROUP_BPF",
    modules: [],
    isNeeded: false,
    means: "on cgroup v2 the devices of containers cannot be restricted",
  },
  {
    name: "user namespaces",
    option: "USER_NS",
    modules: [],
    sign: "/proc/self/ns/user",
    isNeeded: false,
    means: "containers cannot have users of their own",
  },
  {
    name: "POSIX queues",
    option: "POSIX_MQUEUE",
    modules: ["mqueue"],
    sign: "/proc/sys/fs/mqueue",
    isNeeded: false,
    means: "containers have no /dev/mqueue",
  },
];
/** fsopen and fsmount, clone3, pidfd: what the engine's system calls need. */
const OLDEST = [5, 4];
const NAMESPACES = ["mnt", "pid", "net", "uts", "ipc", "cgroup"];

/** What of the running kernel can be told. */
export interface Kernel {
  version: string;
  /** CONFIG_ options that are y or m; undefined when no configuration can be read. */
  options: Map<string, string> | undefined;
  modules: Set<string>;
  filesystems: Set<string>;
}

/** Judges the kernel by its configuration, loaded modules and what shows in /proc. */
export function checkKernel(kernel: Kernel = readKernel(), exists = existsSync): Finding[] {
  const [major = 0, minor = 0] = kernel.version.split(/[.-]/).map(Number);
  const isNew = major > OLDEST[0]! || (major === OLDEST[0]! && minor >= OLDEST[1]!);
  const missing = NAMESPACES.filter((name) => !exists(`/proc/self/ns/${name}`));
  return [
    finding("kernel", "version", isNew, kernel.version, "missing", `${OLDEST.join(".")} or newer is needed`),
    finding(
      "kernel",
      "namespaces",
      missing.length === 0,
      NAMESPACES.filter((name) => !missing.includes(name)).join(" "),
      "missing",
      `no containers without the ${missing.join(", ")} namespaces`,
    ),
    ...FEATURES.map((feature) => judge(feature, kernel, exists)),
    forwarding(),
  ];
}

function judge(feature: Feature, kernel: Kernel, exists: (path: string) => boolean): Finding {
  const { name, option, means, isNeeded } = feature;
  const status = isNeeded ? "missing" : "poor";
  const loaded = feature.modules.find((module) => kernel.modules.has(module));
  if (feature.sign !== undefined && exists(feature.sign))
    return finding("kernel", name, true, "yes", status, means);
  if (name === "overlayfs" && kernel.filesystems.has("overlay"))
    return finding("kernel", name, true, "yes", status, means);
  if (loaded !== undefined) return finding("kernel", name, true, `module ${loaded}`, status, means);
  if (kernel.options !== undefined) {
    const value = kernel.options.get(option);
    const found = value === "y" ? "built in" : value === "m" ? "a module" : `CONFIG_${option} is not set`;
    return finding("kernel", name, value !== undefined, found, status, means);
  }
  return {
    area: "kernel",
    name,
    status: "unknown",
    found: "cannot be told: neither loaded, nor is there a configuration to read",
    means: `without it: ${means}`,
  };
}

function forwarding(): Finding {
  const path = "/proc/sys/net/ipv4/ip_forward";
  const on = existsSync(path) && readFileSync(path, "utf8").trim() === "1";
  return finding(
    "kernel",
    "IPv4 forwarding",
    on,
    on ? "on" : "off",
    "poor",
    "the daemon switches it on when it makes a network",
  );
}

function readKernel(): Kernel {
  const version = release();
  const modules = new Set(existsSync("/sys/module") ? readdirSync("/sys/module") : []);
  const dir = `/lib/modules/${version}`;
  for (const file of ["modules.builtin", "modules.dep"]) {
    if (!existsSync(`${dir}/${file}`)) continue;
    for (const [, name] of readFileSync(`${dir}/${file}`, "utf8").matchAll(/^[^:\n]*\/([^/:\n]+?)\.ko/gm))
      modules.add(name!.replaceAll("-", "_"));
  }
  const filesystems = readFileSync("/proc/filesystems", "utf8")
    .split("\n")
    .map((line) => line.trim().split("\t").at(-1)!);
  return { version, options: readOptions(version), modules, filesystems: new Set(filesystems) };
}

function readOptions(version: string): Map<string, string> | undefined {
  let text: string | undefined;
  if (existsSync("/proc/config.gz")) text = gunzipSync(readFileSync("/proc/config.gz")).toString();
  const path = [`/boot/config-${version}`, `/lib/modules/${version}/config`].find(existsSync);
  if (text === undefined && path !== undefined) text = readFileSync(path, "utf8");
  return text === undefined
    ? undefined
    : new Map([...text.matchAll(/^CONFIG_(\w+)=([ym])$/gm)].map(([, name, value]) => [name!, value!]));
}
