// Generates shared/src/gen from proto/ (`--check`: fails when what is checked in is not fresh).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const gen = "shared/src/gen";

/** Writes below `base` what belongs to shared/src/gen. */
function generate(base: string): void {
  rmSync(join(base, gen), { recursive: true, force: true });
  const args = ["generate", "--output", join(base, "proto")];
  execFileSync(join(root, "node_modules/.bin/buf"), args, { cwd: join(root, "proto"), stdio: "inherit" });
}

if (process.argv.includes("--check")) {
  const fresh = mkdtempSync(join(tmpdir(), "creel-gen-"));
  try {
    generate(fresh);
    execFileSync("diff", ["-r", join(root, gen), join(fresh, gen)], { stdio: "inherit" });
  } catch {
    console.error("shared/src/gen is not what proto/ says: run `npm run generate` and commit the result");
    process.exitCode = 1;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
} else {
  generate(root);
}
