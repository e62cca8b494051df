import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** What exists on this machine that a lab could leave behind, each as a set of lines. */
export interface Picture {
  processes: Set<string>;
  mounts: Set<string>;
  interfaces: Set<string>;
  cgroups: Set<string>;
  namespaces: Set<string>;
}

function processIds(): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

function processes(): Set<string> {
  const found = new Set<string>();
  for (const pid of processIds()) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (/creel|whoami/.test(command.split(" ").slice(0, 3).join(" "))) found.add(`${pid} ${command}`);
    } catch {
      // It has just ended.
    }
  }
  return found;
}

function namespaces(): Set<string> {
  const found = new Set<string>();
  for (const pid of processIds()) {
    for (const kind of ["net", "mnt", "pid", "uts", "ipc", "cgroup"]) {
      try {
        found.add(readlinkSync(`/proc/${pid}/ns/${kind}`));
      } catch {
        // It has just ended, or is the kernel's.
      }
    }
  }
  return found;
}

function cgroups(): Set<string> {
  const dirs = execFileSync("find", ["/sys/fs/cgroup", "-type", "d", "-path", "*creel*"], {
    encoding: "utf8",
  });
  return new Set(dirs.split("\n").filter((line) => line !== ""));
}

/** What is there now. */
export function picture(): Picture {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return {
    processes: processes(),
    mounts: new Set(mounts),
    interfaces: new Set(readdirSync("/sys/class/net")),
    cgroups: cgroups(),
    namespaces: namespaces(),
  };
}

/** Nothing is there that was not there `before`; what is just ending has five seconds. */
export async function assertNoLeaks(before: Picture): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const now = picture();
    const left = (Object.keys(now) as (keyof Picture)[]).flatMap((kind) =>
      [...now[kind]].filter((line) => !before[kind].has(line)).map((line) => `${kind}: ${line}`),
    );
    // Other programs of this machine come and go too; namespaces are named by ours alone only through processes.
    const ours = left.filter(
      (line) => !line.startsWith("namespaces:") || left.some((each) => each.startsWith("processes:")),
    );
    if (ours.length === 0) return;
    if (attempt === 50) assert.fail(`left behind:\n${ours.join("\n")}`);
    await delay(100);
  }
}
