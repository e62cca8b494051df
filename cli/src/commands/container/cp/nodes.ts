import { spawnSync } from "node:child_process";
import type { Stats } from "node:fs";
import type { Header } from "tar-stream";

type Node = Partial<Pick<Header, "type" | "devmajor" | "devminor">>;

const KINDS: Record<string, string> = { fifo: "p", "character-device": "c", "block-device": "b" };

/** What the header of a FIFO or a device says. Undefined: it is neither. */
export function nodeOf(stat: Stats): Node | undefined {
  if (stat.isFIFO()) return { type: "fifo" };
  const device = BigInt(stat.rdev);
  const numbers = {
    devmajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    devminor: Number((device & 0xffn) | ((device >> 12n) & 0xfff00n)),
  };
  if (stat.isCharacterDevice()) return { type: "character-device", ...numbers };
  if (stat.isBlockDevice()) return { type: "block-device", ...numbers };
  return undefined;
}

/** Makes a FIFO or a device as a header says; false where that is not allowed here. */
export function makeNode(path: string, { type, devmajor = 0, devminor = 0 }: Node): boolean {
  const kind = KINDS[type ?? ""];
  if (kind === undefined) return false;
  const numbers = kind === "p" ? [] : [String(devmajor), String(devminor)];
  return spawnSync("mknod", ["--", path, kind, ...numbers]).status === 0;
}
