import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { root } from "../../tools/src/root.ts";

/** On what the numbers were taken. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  /** Load of the last minute, when the bench began: above the number of cores the numbers mean little. */
  load: number;
  versions: Record<string, string>;
}

function firstLine(program: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 10_000,
    })
      .trim()
      .split("\n")[0];
  } catch {
    return undefined;
  }
}

const VERSIONS: [string, string, ...string[]][] = [
  ["docker", "docker", "--version"],
  ["dockerd", "dockerd", "--version"],
  ["containerd", "containerd", "--version"],
  ["runc", "runc", "--version"],
  ["crun", "crun", "--version"],
  ["podman", "podman", "--version"],
  ["haproxy", "haproxy", "-v"],
  ["etcd", "etcd", "--version"],
];

/** This machine, and the versions of what is compared. */
export function machine(): Machine {
  const own = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const commit = firstLine("git", "-C", root, "rev-parse", "--short", "HEAD");
  const versions: Record<string, string> = {
    creel: commit === undefined ? own.version : `${own.version} (${commit})`,
    node: process.version,
  };
  for (const [name, program, ...args] of VERSIONS) {
    const line = firstLine(program, ...args);
    if (line !== undefined) versions[name] = line;
  }
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    kernel: release(),
    load: loadavg()[0]!,
    versions,
  };
}
