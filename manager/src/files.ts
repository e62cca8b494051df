import { mkdir, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";

/** A manager's small files, as a port. */
export interface Files {
  /** The file's text; undefined where there is none. */
  read(path: string): Promise<string | undefined>;
  /** Whole or not at all, and not lost with the power. */
  write(path: string, data: string): Promise<void>;
}

/** Files on the disk, for their owner alone. */
export const diskFiles: Files = { read: readIfThere, write: writeDurably };

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function writeDurably(path: string, data: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  const directory = await open(dirname(path), "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
