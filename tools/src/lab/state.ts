import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** One host of a lab. */
export interface LabNode {
  name: string;
  /** IPv4 address on the lab's bridge. */
  address: string;
  /** The bridge port's name outside the host. */
  port: string;
  /** Process id of the host's init, as seen from outside; 0 while it is down. */
  pid: number;
  /** The init's start time in clock ticks since boot: with the id, it names one process for ever. */
  startTime: string;
}

/** What `down` needs to know; written before each thing is made. */
export interface LabState {
  id: string;
  bridge: string;
  /** `10.213.7` */
  prefix: string;
  nodes: LabNode[];
}

const file = (dir: string) => join(dir, "lab.json");

export function readState(dir: string): LabState | undefined {
  if (!existsSync(file(dir))) return undefined;
  return JSON.parse(readFileSync(file(dir), "utf8")) as LabState;
}

export function writeState(dir: string, state: LabState): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(`${file(dir)}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${file(dir)}.new`, file(dir));
}

export function removeState(dir: string): void {
  rmSync(file(dir), { force: true });
}

/** The start time of a process, or undefined when there is none of that id. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Whether a node's init is alive. */
export function isUp(node: LabNode): boolean {
  return node.pid !== 0 && startTimeOf(node.pid) === node.startTime;
}

/** Processes that make a host on this bridge, or are one's init: also those that no state file names. */
export function hostProcesses(bridge: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return words[1] === "host" && words[words.indexOf("--bridge") + 1] === bridge;
      } catch {
        return false;
      }
    });
}
