import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ociRuntime } from "../../src/bundle.ts";
import { validationSuite } from "../../src/validation.ts";

/** Their tests, as docs/oci-runtime.md explains them; the count of assertions that do not hold. */
const KNOWN: Record<string, number> = {
  hooks_stdin: 2,
  killsig: 3,
  linux_cgroups_memory: 6,
  linux_cgroups_relative_blkio: 1,
  linux_cgroups_relative_hugetlb: 1,
  linux_cgroups_relative_memory: 1,
  linux_cgroups_relative_network: 1,
  linux_ns_itype: 1,
  linux_rootfs_propagation: 4,
  misc_props: 1,
  pidfile: 1,
  process_capabilities: 5,
  process_rlimits: 2,
  start: 1,
};

describe("the OCI validation suite", function () {
  this.timeout(1_200_000);
  const bundles = mkdtempSync(join(tmpdir(), "creel-validation-"));
  // Users of other namespaces have to find their way to their roots.
  chmodSync(bundles, 0o755);
  after(() => rmSync(bundles, { recursive: true, force: true, maxRetries: 5 }));

  it("finds no fault in creel-runtime but those that are known", () => {
    const folder = validationSuite();
    const failed: Record<string, number> = {};
    let passed = 0;
    let report = "";
    for (const name of readdirSync(join(folder, "tests"))) {
      // A mount namespace of its own: whatever a test leaves mounted goes with it.
      const { stdout } = spawnSync("unshare", ["--mount", join(folder, "tests", name)], {
        cwd: folder,
        env: { ...process.env, RUNTIME: ociRuntime, TMPDIR: bundles },
        encoding: "utf8",
        timeout: 60_000,
      });
      const wrong = stdout.split("\n").filter((line) => /^\s*not ok /.test(line));
      passed += stdout.split("\n").filter((line) => /^\s*ok /.test(line)).length;
      if (wrong.length > (KNOWN[basename(name)] ?? 0)) {
        failed[name] = wrong.length;
        report += `\n${name}:\n${wrong.join("\n")}`;
      }
    }
    console.log(`      ${passed} assertions hold`);
    assert.deepEqual(failed, {}, report);
    assert.ok(passed >= 3710, `${passed} assertions hold`);
  });
});
