import { existsSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Mount points of all cgroup hierarchies, v1 and v2. */
function hierarchies(): string[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter((fields) => fields[2] === "cgroup" || fields[2] === "cgroup2")
    .map((fields) => fields[1]!);
}

function removeTree(path: string): boolean {
  let gone = true;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) gone = removeTree(join(path, entry.name)) && gone;
  }
  try {
    rmdirSync(path);
  } catch {
    return false;
  }
  return gone;
}

/** Lets all frozen processes of a cgroup go on: they do not end before. */
export function thawCgroups(name: string): void {
  const thaw = (path: string) => {
    for (const [file, word] of [
      ["freezer.state", "THAWED"],
      ["cgroup.freeze", "0"],
    ] as const)
      if (existsSync(join(path, file))) writeFileSync(join(path, file), word);
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) thaw(join(path, entry.name));
  };
  for (const path of hierarchies().map((mount) => join(mount, name))) {
    try {
      if (existsSync(path)) thaw(path);
    } catch {
      // it goes away meanwhile
    }
  }
}

/** Removes a cgroup and all below it in every hierarchy; processes that are just dying are waited for. */
export async function removeCgroups(name: string): Promise<void> {
  const paths = hierarchies()
    .map((mount) => join(mount, name))
    .filter((path) => existsSync(path));
  for (let attempt = 0; attempt < 100; attempt++) {
    if (paths.every((path) => !existsSync(path) || removeTree(path))) return;
    await delay(50);
  }
  throw new Error(`cgroup ${name} is still in use after 5 s: a process of the lab is left in it`);
}
