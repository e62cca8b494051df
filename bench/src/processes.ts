import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The command line of creeld: its launcher, its bundle, its sources. */
export const CREELD = /bin\/creeld|creeld\/main|daemon\/src\//;

/** One process of a host. */
export interface Process {
  pid: number;
  command: string;
}

const read = (pid: number, file: string) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
};

const namespaceOf = (pid: number) => {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
};

/** The processes in the PID namespace of a host's process 1; those of its containers are in namespaces of their own. */
export function processesOf(init: number): Process[] {
  const own = namespaceOf(init);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== init && namespaceOf(pid) === own)
    .map((pid) => ({ pid, command: read(pid, "cmdline").replaceAll("\0", " ").trim() }))
    .filter((each) => each.command !== "");
}

/** Resident and proportional memory in MB (10^6 bytes). */
export function memoryOf(pid: number): { rss: number; pss: number } {
  const text = read(pid, "smaps_rollup");
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1000;
  return { rss: field("Rss") * 1.024, pss: field("Pss") * 1.024 };
}

const ticksASecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Seconds of processor time that a process has used. */
export function cpuOf(pid: number): number {
  const stat = read(pid, "stat");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.length < 13 ? 0 : (Number(fields[11]) + Number(fields[12])) / ticksASecond;
}
