// Generates shared/src/gen from proto/ (`--check`: fails when what is checked in is not fresh).
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const gen = join(root, "shared/src/gen");
const buf = join(root, "node_modules/.bin/buf");

function generate(): void {
  rmSync(gen, { recursive: true, force: true });
  execFileSync(buf, ["generate"], { cwd: join(root, "proto"), stdio: "inherit" });
}

if (process.argv.includes("--check")) {
  const kept = mkdtempSync(join(tmpdir(), "creel-gen-"));
  try {
    cpSync(gen, kept, { recursive: true });
    generate();
    execFileSync("diff", ["-r", kept, gen], { stdio: "inherit" });
  } catch {
    console.error("shared/src/gen is not what proto/ says: run `npm run generate` and commit the result");
    process.exitCode = 1;
  } finally {
    rmSync(kept, { recursive: true, force: true });
  }
} else {
  generate();
}
