import { existsSync, statfsSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import { binary } from "../../output/words.ts";
import { type Finding, finding } from "./check.ts";

const GIB = 1024 ** 3;
const LEAST_FREE = 2 * GIB;
const LEAST_MEMORY = GIB / 2;
const FULL = 0.95;

/** File systems by the number statfs gives; what overlay2 cannot have its upper layers on is said. */
const KINDS: Record<number, { name: string; means?: string }> = {
  61267: { name: "ext4" },
  1481003842: { name: "xfs" },
  2435016766: { name: "btrfs" },
  16914836: { name: "tmpfs", means: "what is on it is lost on a restart" },
  801189825: { name: "zfs", means: "overlay2 needs OpenZFS 2.2 or newer there" },
  4076150800: { name: "f2fs" },
  2035054128: {
    name: "overlay",
    means: "overlay2 does not work on top of an overlay: give the daemon a --data-root elsewhere",
  },
  26985: {
    name: "nfs",
    means: "overlay2 does not work on NFS, and locks may be lost: give the daemon a --data-root elsewhere",
  },
  1702057286: { name: "fuse", means: "overlay2 does not work on most FUSE file systems" },
};

/** The file system that holds the data root, its room, and the machine's memory. */
export function checkDisk(dataRoot: string): Finding[] {
  let dir = dataRoot;
  while (!existsSync(dir)) dir = dirname(dir);
  const disk = statfsSync(dir);
  const kind = KINDS[disk.type] ?? { name: `type 0x${disk.type.toString(16)}` };
  const free = disk.bavail * disk.bsize;
  const used = 1 - disk.bavail / Math.max(1, disk.blocks);
  const percent = `${Math.round(used * 100)}% used`;
  const inodes = disk.files === 0 ? 1 : disk.ffree / disk.files;
  return [
    finding(
      "disk",
      "file system",
      kind.means === undefined,
      `${kind.name} at ${dataRoot}`,
      "poor",
      kind.means ?? "",
    ),
    finding(
      "disk",
      "free",
      free >= LEAST_FREE && used < FULL,
      `${binary(free)} (${percent})`,
      free < LEAST_FREE / 8 ? "missing" : "poor",
      "images and logs need room: free some, or give the daemon another --data-root",
    ),
    finding(
      "disk",
      "inodes",
      inodes > 0.05,
      disk.files === 0 ? "no fixed number" : `${Math.round(inodes * 100)}% free`,
      "poor",
      "layers hold many small files: free some",
    ),
    finding(
      "disk",
      "memory",
      totalmem() >= LEAST_MEMORY,
      binary(totalmem()),
      "poor",
      "512 MiB or more are advised for a node",
    ),
  ];
}
