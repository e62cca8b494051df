import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { inspect } from "./tools.ts";

const ROOT = "/sys/fs/cgroup";
/** What v1 says where there is no limit of memory: the largest number of pages, in bytes. */
const UNLIMITED = "9223372036854771712";

/** Whether this machine has cgroup v2 alone, or v1's hierarchies. */
export const unified: boolean = existsSync(`${ROOT}/cgroup.controllers`);

/** Of two values the one of v2, where this machine has that, or of v1. */
export const on = <T>(v2: T, v1: T): T => (unified ? v2 : v1);

/** The cgroup of a running container: its path within each hierarchy. */
export async function cgroupOf(name: string): Promise<string> {
  const text = readFileSync(`/proc/${await inspect(name, ".State.Pid")}/cgroup`, "utf8");
  const [, path] = on(/^0::(\/creel\/.*)$/m, /^\d+:memory:(\/creel\/.*)$/m).exec(text) ?? [];
  assert.ok(path, `${name} is in no cgroup below /creel`);
  return path;
}

/** A file of a cgroup in the hierarchy of its controller; the core's own in systemd's. */
export function file(cgroup: string, name: string): string {
  const hierarchy = unified ? "" : `/${name.split(".")[0]!.replace("cgroup", "systemd")}`;
  return readFileSync(`${ROOT}${hierarchy}${cgroup}/${name}`, "utf8").trimEnd();
}

/** A file of a running container's cgroup. */
export const cgroupFile = async (name: string, path: string): Promise<string> =>
  file(await cgroupOf(name), path);

/** Whether any hierarchy has the cgroup. */
export const exists = (cgroup: string): boolean =>
  (unified ? [""] : ["/memory", "/freezer", "/devices", "/systemd"]).some((hierarchy) =>
    existsSync(`${ROOT}${hierarchy}${cgroup}`),
  );

/** Whether its processes stand still. */
export const frozen = (cgroup: string): boolean =>
  unified ? /^frozen 1$/m.test(file(cgroup, "cgroup.events")) : file(cgroup, "freezer.state") === "FROZEN";

/** A cgroup's limits by v2's names, whichever version has them; `share` alone is as the version counts it. */
export interface Limits {
  memory: string;
  /** Without the memory. */
  swap: string;
  reservation: string;
  cpu: string;
  share: string;
  cpus: string;
  pids: string;
}

/** Reads them. */
export function limits(cgroup: string): Limits {
  const read = (name: string) => file(cgroup, name).replace(UNLIMITED, "max").replace(/^-1$/, "max");
  const common = { cpus: read("cpuset.cpus"), pids: read("pids.max") };
  if (unified)
    return {
      memory: read("memory.max"),
      swap: read("memory.swap.max"),
      reservation: read("memory.low"),
      cpu: read("cpu.max"),
      share: read("cpu.weight"),
      ...common,
    };
  const [memory, both] = [read("memory.limit_in_bytes"), read("memory.memsw.limit_in_bytes")];
  return {
    memory,
    swap: both === "max" ? both : String(Number(both) - Number(memory)),
    reservation: read("memory.soft_limit_in_bytes"),
    cpu: `${read("cpu.cfs_quota_us")} ${read("cpu.cfs_period_us")}`,
    share: read("cpu.shares"),
    ...common,
  };
}

/** The weights of block I/O, and the rates of the disk that has any, as v2 writes them. */
export function blockIo(cgroup: string): [weights: string, rates: string] {
  const weights = file(cgroup, on("io.bfq.weight", "blkio.bfq.weight_device")).replace("default ", "");
  if (unified) return [weights, file(cgroup, "io.max")];
  const rates = { rbps: "read_bps", wbps: "write_bps", riops: "read_iops", wiops: "write_iops" };
  let disk = "";
  const all = Object.entries(rates).map(([name, onV1]) => {
    const [device, rate = "max"] = file(cgroup, `blkio.throttle.${onV1}_device`).split(" ");
    disk ||= device!;
    return `${name}=${rate}`;
  });
  return [weights, [disk, ...all].join(" ")];
}
