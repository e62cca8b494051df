import type { PathStat } from "@creel/shared/gen/engine/v1/container.ts";
import { EPOCH, fromNanos } from "../http/time.ts";

/** Kinds of files as the kernel has them, and what Go's os.FileMode says of each. */
const KINDS = new Map([
  [0o040000, 2 ** 31], // directory
  [0o120000, 2 ** 27], // symbolic link
  [0o060000, 2 ** 26], // block device
  [0o020000, 2 ** 26 + 2 ** 21], // character device
  [0o010000, 2 ** 25], // named pipe
  [0o140000, 2 ** 24], // socket
]);
const BITS: [number, number][] = [
  [0o4000, 2 ** 23],
  [0o2000, 2 ** 22],
  [0o1000, 2 ** 20],
];

/** The header `X-Docker-Container-Path-Stat`. */
export function toPathStat(stat: PathStat): string {
  let mode = (stat.mode & 0o777) + (KINDS.get(stat.mode & 0o170000) ?? 0);
  for (const [bit, word] of BITS) if (stat.mode & bit) mode += word;
  const json = {
    name: stat.name,
    size: stat.size,
    mode,
    mtime: fromNanos(stat.mtimeNanos, EPOCH),
    linkTarget: stat.linkTarget,
  };
  return Buffer.from(JSON.stringify(json)).toString("base64");
}
