import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../tools/src/root.ts";

const CACHE = "/var/cache/creel-test";
const MODULE = "github.com/opencontainers/runtime-tools";

/** Builds the OCI validation suite with Go, once for each version of it; the folder it is in. */
export function validationSuite(): string {
  const source = join(root, "e2e/oci");
  const digest = createHash("sha256")
    .update(readFileSync(join(source, "go.sum")))
    .digest("hex")
    .slice(0, 12);
  const folder = join(CACHE, `oci-${digest}`);
  if (existsSync(folder)) return folder;
  const env = { ...process.env, GOFLAGS: "-mod=readonly", GOTOOLCHAIN: "local" };
  const go = (args: string[], more: Record<string, string> = {}) => {
    const { status, stdout, stderr } = spawnSync("go", args, {
      cwd: source,
      env: { ...env, ...more },
      encoding: "utf8",
      timeout: 900_000,
    });
    assert.equal(status, 0, `go ${args.join(" ")}: ${stderr}`);
    return stdout.trim();
  };
  const begun = `${folder}.${process.pid}`;
  mkdirSync(join(begun, "tests"), { recursive: true });
  go(["build", "-o", join(begun, "tests/"), `${MODULE}/validation/...`]);
  go(["build", "-o", join(begun, "runtimetest"), `${MODULE}/cmd/runtimetest`], { CGO_ENABLED: "0" });
  const module = go(["list", "-m", "-f", "{{.Dir}}", MODULE]);
  for (const name of readdirSync(module).filter((name) => name.startsWith("rootfs-")))
    copyFileSync(join(module, name), join(begun, name));
  // where another run was faster, its work is as good
  if (existsSync(folder)) rmSync(begun, { recursive: true });
  else renameSync(begun, folder);
  return folder;
}
