import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../tools/src/lab/lab.ts";
import type { Cli } from "./cli.ts";

/** Holes of at least this many bytes make a file sparse. */
const HOLES = 1 << 20;

/**
 * All that a directory tree is, a line for each file by its name: kind and mode, owner, size, time, device, target,
 * content, extended attributes, the other names of the same file, holes. One digest over all lines comes first.
 */
export function treeOf(root: string): string[] {
  const paths = [".", ...readdirSync(root, { recursive: true, encoding: "utf8" })].sort();
  const attributes = attributesOf(root);
  const names = new Map<bigint, string[]>();
  const stats = paths.map((path) => ({ path, stat: lstatSync(join(root, path), { bigint: true }) }));
  for (const { path, stat } of stats) {
    if (!stat.isDirectory()) names.set(stat.ino, [...(names.get(stat.ino) ?? []), path]);
  }
  const lines = stats.map(({ path, stat }) => {
    const whole = join(root, path);
    const parts = [
      path,
      stat.mode.toString(8),
      `${stat.uid}:${stat.gid}`,
      stat.isDirectory() ? "" : stat.size,
      stat.mtimeMs / 1000n,
      stat.isCharacterDevice() || stat.isBlockDevice() ? stat.rdev : "",
      stat.isSymbolicLink() ? readlinkSync(whole) : "",
      stat.isFile() ? hashOf(whole) : "",
      stat.isFile() && stat.blocks * 512n + BigInt(HOLES) < stat.size ? "sparse" : "",
      (names.get(stat.ino) ?? []).join("="),
      (attributes.get(path) ?? []).join(" "),
    ];
    return parts.join("|");
  });
  return [createHash("sha256").update(lines.join("\n")).digest("hex"), ...lines];
}

/** The root of a running container's files, as this machine sees it through the node's own /proc. */
export async function rootOf(lab: Lab, cli: Cli, container: string, node = "node1"): Promise<string> {
  const pid = await cli.ok("inspect", "-f", "{{.State.Pid}}", container);
  const host = lab.nodes.find(({ name }) => name === node)!;
  return `/proc/${host.pid}/root/proc/${pid}/root`;
}

function hashOf(path: string): string {
  const hash = createHash("sha256");
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(1 << 20);
    for (let n = readSync(file, buffer); n > 0; n = readSync(file, buffer))
      hash.update(buffer.subarray(0, n));
  } finally {
    closeSync(file);
  }
  return hash.digest("hex");
}

/** The extended attributes that a container's files have for good. */
function attributesOf(root: string): Map<string, string[]> {
  const args = ["-R", "-h", "-e", "hex", "-m", "^(user|security)\\.", "-d", "."];
  const { status, stdout, stderr } = spawnSync("getfattr", args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`getfattr in ${root}: ${stderr}`);
  const blocks = stdout.split("\n\n").filter((block) => block.startsWith("# file: "));
  return new Map(
    blocks.map((block) => {
      const [name = "", ...values] = block.trim().split("\n");
      return [name.slice("# file: ".length), values.sort()] as const;
    }),
  );
}
