import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lab, type LabOptions } from "../../tools/src/lab/lab.ts";
import { type Disk, mountDisk } from "./disk.ts";
import { assertNothingLeft, tracesOf } from "./leaks.ts";

/** A lab that the tests of one `describe` share; `lab` is there from its `before` on. */
export interface Fixture {
  lab: Lab;
}

/**
 * Registers mocha hooks: a lab before the tests; after them it is taken down, and nothing of it may be left on this
 * machine (processes, mounts, namespaces, cgroups, interfaces, files). With `disk` all of it is on that file system.
 */
export function useLab(options: Partial<Omit<LabOptions, "dir">> & { disk?: Disk } = {}): Fixture {
  const fixture = {} as Fixture;
  let dir = "";
  let unmount = () => {};
  globalThis.before(async function () {
    this.timeout(120_000);
    dir = mkdtempSync(join(tmpdir(), "ce-"));
    if (options.disk) unmount = mountDisk(dir, options.disk);
    const nodes = options.nodes ?? 3;
    fixture.lab = await Lab.up({ dir, managers: Math.min(3, nodes), join: true, ...options, nodes });
  });
  globalThis.after(async function () {
    this.timeout(60_000);
    const kept = process.env.CREEL_KEEP !== undefined;
    if (kept) return console.log(`lab kept in ${dir}`);
    const traces = fixture.lab && tracesOf(fixture.lab);
    await fixture.lab?.down();
    unmount();
    rmSync(dir, { recursive: true, force: true });
    if (traces) await assertNothingLeft(traces);
  });
  return fixture;
}
