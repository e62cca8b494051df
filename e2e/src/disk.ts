import { execFileSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, rmSync } from "node:fs";

/** A file system of a test's own. */
export interface Disk {
  kind: "btrfs" | "ext4";
  megabytes: number;
}

/** Makes a file system and mounts it at `dir`, from a file beside it on a loop device; the result takes it away again. */
export function mountDisk(dir: string, { kind, megabytes }: Disk): () => void {
  const image = `${dir}.${kind}`;
  const file = openSync(image, "w");
  ftruncateSync(file, megabytes << 20);
  closeSync(file);
  try {
    execFileSync(`mkfs.${kind}`, ["-q", image]);
    // btrfs frees a deleted subvolume after a commit of its own time: each second, not each half minute
    const options = kind === "btrfs" ? "loop,commit=1" : "loop";
    execFileSync("mount", ["-o", options, image, dir]);
  } catch (error) {
    rmSync(image);
    throw error;
  }
  return () => {
    execFileSync("umount", [dir]);
    rmSync(image);
  };
}
