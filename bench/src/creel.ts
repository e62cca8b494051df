import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lab } from "../../tools/src/lab/lab.ts";
import type { Cleanup } from "./cleanup.ts";

/** A folder of the bench's own, gone when it ends. */
export function folder(cleanup: Cleanup): string {
  const dir = mkdtempSync(join(tmpdir(), "cb-"));
  cleanup.add(`folder ${dir}`, () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

/** A cluster of Creel: hosts with the release programs of this checkout. */
export async function startCreel(
  dir: string,
  nodes: number,
  managers: number,
  cleanup: Cleanup,
): Promise<Lab> {
  let lab: Lab | undefined;
  cleanup.add(`lab ${dir}`, () => lab?.down());
  lab = await Lab.up({ dir, nodes, managers, join: true });
  return lab;
}
