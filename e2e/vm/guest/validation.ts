import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { type Check, run } from "./tools.ts";

const SUITE = "/opt/creel/guest/oci";
const RUNTIME = "/opt/creel/runtime-native/target/release/creel-runtime";
const BUNDLES = "/var/tmp/validation";

/**
 * Of the OCI validation suite what is done otherwise on cgroup v2 alone: the suite itself reads no limits there.
 * All of it runs on v1 (e2e/test/oci/validation.test.ts).
 */
export const TESTS = [
  "create",
  "default",
  "linux_devices",
  "linux_ns_nopath",
  "linux_uid_mappings",
  "process_capabilities",
  "state",
];

async function finds(name: string): Promise<void> {
  mkdirSync(BUNDLES, { recursive: true, mode: 0o755 });
  const environment = ["env", "-C", SUITE, `RUNTIME=${RUNTIME}`, `TMPDIR=${BUNDLES}`];
  // A mount namespace of its own: whatever a test leaves mounted goes with it.
  const { stdout, stderr } = await run("unshare", "--mount", ...environment, `${SUITE}/tests/${name}`);
  const lines = stdout.split("\n");
  assert.deepEqual(
    lines.filter((line) => /^\s*not ok /.test(line)),
    [],
  );
  assert.ok(
    lines.some((line) => /^\s*ok /.test(line)),
    stderr,
  );
}

/** What the OCI validation suite finds in `creel-runtime`. */
export const validationChecks: Check[] = TESTS.map((name) => ({
  name: `creel-runtime: the validation suite's ${name}`,
  check: () => finds(name),
}));
