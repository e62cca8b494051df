import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkoutDisk } from "../vm/checkout.ts";
import { checksOn } from "../vm/guest/checks.ts";
import { bootAndCheck, KERNEL, type Report } from "../vm/machine.ts";

describe("on a machine with systemd", () => {
  let directory: string | undefined;
  let checkout: string;

  before("makes a disk of this checkout", async function () {
    if (process.arch !== "x64") this.skip();
    this.timeout(120_000);
    directory = mkdtempSync(join(tmpdir(), "creel-vm-"));
    checkout = join(directory, "checkout.ext4");
    await checkoutDisk(checkout);
  });

  after(() => {
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  for (const version of ["v2", "v1"] as const)
    describe(`and cgroup ${version} alone`, () => {
      const checks = checksOn(version);
      let report: Report;

      before("boots it, which takes minutes", async function () {
        this.timeout(1_500_000);
        report = await bootAndCheck(checkout, KERNEL[version]);
        const missing = checks.filter(({ name }) => !report.outcomes.has(name));
        const failed = [...report.outcomes.values()].some(({ ok }) => !ok);
        if (missing.length > 0 || failed) console.log(report.console);
        assert.notEqual(missing.length, checks.length, "the machine did not come up; its console is above");
      });

      for (const { name } of checks) {
        it(name, () => {
          const outcome = report.outcomes.get(name);
          assert.ok(outcome, "the machine did not come so far");
          assert.ok(outcome.ok, outcome.detail);
        });
      }

      if (version === "v2")
        it("a published port answers from outside, and sees the client's address", () => {
          assert.ok(report.fromOutside.length > 0, "no answer from outside");
          assert.match(report.fromOutside.join("\n"), /^client: 10\.0\.2\.2:/m);
        });
    });
});
