import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Lab, MEMORY } from "../../tools/src/lab/lab.ts";

const KINDS = ["net", "mnt", "pid", "uts", "ipc"];

/** By what the traces of one lab are told from all else on this machine; taken while it is up. */
export interface Traces {
  dir: string;
  id: string;
  /** Inodes of its hosts' namespaces. */
  namespaces: Set<string>;
  /** When this was taken, in ticks since the machine's start: what began later is another's. Absent: all is looked at. */
  taken?: number;
}

/** Of the kernel's times for user space. */
const TICKS_A_SECOND = 100;

/** When a process began, in ticks since the machine's start. */
function beginOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  } catch {
    return 0;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** What to look for after `lab` is down. */
export function tracesOf(lab: Lab): Traces {
  const namespaces = lab.nodes
    .filter((node) => node.pid !== 0)
    .flatMap((node) => KINDS.map((kind) => link(`/proc/${node.pid}/ns/${kind}`)))
    .filter((name) => name !== undefined);
  const taken = Number.parseFloat(readFileSync("/proc/uptime", "utf8")) * TICKS_A_SECOND;
  return { dir: lab.dir, id: lab.cgroup.replace("creel-", ""), namespaces: new Set(namespaces), taken };
}

function processes({ dir, id, namespaces, taken = Number.POSITIVE_INFINITY }: Traces): string[] {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    let command = "";
    try {
      command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    } catch {
      continue;
    }
    // the kernel gives a namespace's number to another lab's as soon as the first is gone
    const inside =
      beginOf(pid) <= taken && KINDS.some((kind) => namespaces.has(link(`/proc/${pid}/ns/${kind}`) ?? ""));
    const named = command.includes(`${dir}/`) || command.includes(id);
    if (inside || named) found.push(`process ${pid}: ${command || "(zombie)"}`);
  }
  return found;
}

/** Everything of a lab that is still there: processes, namespaces they hold, mounts, files, interfaces, cgroups. */
export function left(traces: Traces): string[] {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  // its status is no matter: cgroups of others come and go while it looks
  const cgroups = spawnSync("find", ["/sys/fs/cgroup", "-type", "d", "-name", `creel-${traces.id}`], {
    encoding: "utf8",
  }).stdout;
  const execRoots = join(MEMORY, `creel-${traces.id}`);
  return [
    ...processes(traces),
    ...mounts
      .filter((line) => [traces.dir, execRoots].some((path) => line.includes(`${path}/`)))
      .map((line) => `mount: ${line}`),
    ...(existsSync(execRoots) ? [`folder: ${execRoots}`] : []),
    ...readdirSync("/sys/class/net")
      .filter((name) => name.startsWith(traces.id))
      .map((name) => `interface: ${name}`),
    ...cgroups
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => `cgroup: ${line}`),
  ];
}

/** Nothing of the lab is left; what is just ending has twenty seconds. */
export async function assertNothingLeft(traces: Traces): Promise<void> {
  for (let attempt = 0; attempt < 200 && left(traces).length > 0; attempt++) await delay(100);
  assert.deepEqual(left(traces), []);
}
