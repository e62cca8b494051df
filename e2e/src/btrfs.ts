import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, rmSync } from "node:fs";

const SIZE = 1 << 30;

/** Mounts a new btrfs file system at `dir`, from a file beside it on a loop device; the result takes it away again. */
export function mountBtrfs(dir: string): () => void {
  const image = `${dir}.btrfs`;
  const file = openSync(image, "w");
  ftruncateSync(file, SIZE);
  closeSync(file);
  try {
    execFileSync("mkfs.btrfs", ["-q", image]);
    execFileSync("mount", ["-o", "loop", image, dir]);
  } catch (error) {
    rmSync(image);
    throw error;
  }
  return () => {
    execFileSync("umount", [dir]);
    rmSync(image);
  };
}
