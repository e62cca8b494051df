import { existsSync, readFileSync } from "node:fs";
import { type Finding, finding } from "./check.ts";

const NEEDED = ["cpu", "memory", "pids"];
const MEANS: Record<string, string> = {
  cpu: "CPU limits and weights do nothing",
  memory: "memory limits do nothing",
  pids: "limits of processes do nothing",
  cpuset: "containers cannot be bound to CPUs",
  io: "disk traffic cannot be limited",
  devices: "containers' devices cannot be restricted",
  freezer: "creel pause does not work",
};

/** What /proc says of control groups. */
export interface Mounted {
  version: "v1" | "v2" | "hybrid" | "none";
  controllers: Set<string>;
}

/** Reads which version is mounted, and the controllers it offers. */
export function readCgroups(mountinfo: string, v2Controllers: string): Mounted {
  const controllers = new Set<string>();
  let v1 = false;
  let v2 = false;
  for (const line of mountinfo.split("\n")) {
    const [, options = "", type = "", superOptions = ""] =
      /^\S+ \S+ \S+ \S+ \S+ (\S+).* - (\S+) \S+ (\S+)$/.exec(line) ?? [];
    if (options === "") continue;
    if (type === "cgroup2") v2 = true;
    if (type !== "cgroup") continue;
    v1 = true;
    for (const word of superOptions.split(","))
      if (word !== "rw" && word !== "ro") controllers.add(word.replace(/^blkio$/, "io"));
  }
  for (const word of v2Controllers.trim().split(/\s+/)) if (word !== "") controllers.add(word);
  const version = v1 ? (v2 ? "hybrid" : "v1") : v2 ? "v2" : "none";
  // v2 has these without controllers: BPF programs, and a file of the core
  if (version === "v2") controllers.add("devices").add("freezer");
  return { version, controllers };
}

export function checkCgroups(mounted: Mounted = here()): Finding[] {
  const { version, controllers } = mounted;
  const mode = finding(
    "cgroups",
    "version",
    version !== "none",
    version,
    "missing",
    "no containers without control groups: mount them on /sys/fs/cgroup",
  );
  if (version === "none") return [mode];
  return [
    mode,
    ...Object.entries(MEANS).map(([name, means]) => {
      const has = controllers.has(name);
      return finding(
        "cgroups",
        name,
        has,
        has ? "yes" : "no",
        NEEDED.includes(name) ? "missing" : "poor",
        means,
      );
    }),
  ];
}

function here(): Mounted {
  const v2 = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"].find(
    existsSync,
  );
  return readCgroups(readFileSync("/proc/self/mountinfo", "utf8"), v2 ? readFileSync(v2, "utf8") : "");
}
