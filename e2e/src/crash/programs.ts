import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Lab } from "../../../tools/src/lab/lab.ts";

/** What can be killed on a host. */
export type Victim = "creeld" | "engine" | "shim";

/** A process of a host, by its id on this machine. */
export interface Program {
  pid: number;
  victim: Victim;
  /** Of a shim: the container whose log it holds open; the zygote and a shim's helpers hold none. */
  container?: string;
}

function victimOf(command: string): Victim | undefined {
  if (command.startsWith("creel-shim")) return "shim";
  if (/^\S*creel-engine\0/.test(command)) return "engine";
  return /bin\/creeld|daemon\/src\/main|creeld\/main/.test(command) ? "creeld" : undefined;
}

function containerOf(pid: string): string | undefined {
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const log = /\/containers\/([0-9a-f]{64})\/.*log/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`));
    if (log) return log[1];
  }
  return undefined;
}

/** The daemon, the engine and the shims that run on a host now. */
export function programsOf(lab: Lab, node: string): Program[] {
  const init = lab.node(node).pid;
  const host = readlinkSync(`/proc/${init}/ns/pid`);
  const found: Program[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const victim = victimOf(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
      if (victim === undefined || Number(pid) === init) continue;
      if (readlinkSync(`/proc/${pid}/ns/pid`) !== host) continue;
      found.push({ pid: Number(pid), victim, ...(victim === "shim" && { container: containerOf(pid) }) });
    } catch {
      // it ended meanwhile
    }
  }
  return found;
}
