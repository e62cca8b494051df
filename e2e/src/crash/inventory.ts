import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../../tools/src/lab/lab.ts";

/** Below the data and exec roots: folders whose entries tell what the engine holds, and how deep they are looked at. */
const FOLDERS: [string, number][] = [
  ["data/containers", 1],
  ["data/overlay2", 2],
  ["data/content", 2],
  ["data/networks", 1],
  ["data/volumes", 1],
  ["run/containers", 2],
  ["run/net", 2],
  ["run/streams", 1],
];

function entries(dir: string, depth: number, prefix: string): string[] {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    const path = `${prefix}/${name}`;
    return depth === 1 ? [path] : [path, ...entries(join(dir, name), depth - 1, path)];
  });
}

function parentOf(pid: string): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]!;
}

/** The programs of all processes below a host's first one, whatever namespaces they are in. */
function processes(init: number): string[] {
  const parents = new Map<string, string>();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      parents.set(pid, parentOf(pid));
    } catch {
      // it ended meanwhile
    }
  }
  const below = (pid: string | undefined): boolean =>
    pid !== undefined && (pid === String(init) || below(parents.get(pid)));
  return [...parents.keys()]
    .filter((pid) => below(pid))
    .flatMap((pid) => {
      try {
        return [`process ${readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0]}`];
      } catch {
        return [];
      }
    });
}

/**
 * Everything a host has that could be left behind: names below the engine's roots, mounts, interfaces and processes.
 * Two inventories of one host are equal when nothing was added and nothing lost.
 */
export function inventory(lab: Lab, node: string): string[] {
  const { pid } = lab.node(node);
  const home = join(lab.dir, node);
  const mounts = readFileSync(`/proc/${pid}/mountinfo`, "utf8").trimEnd().split("\n");
  const devices = readFileSync(`/proc/${pid}/net/dev`, "utf8").trimEnd().split("\n").slice(2);
  return [
    ...FOLDERS.flatMap(([dir, depth]) => entries(join(home, dir), depth, dir)),
    ...mounts.map((line) => `mount ${line.split(" ")[4]}`),
    ...devices.map((line) => `interface ${line.split(":")[0]!.trim()}`),
    ...processes(pid),
  ].sort();
}
