import assert from "node:assert/strict";
import { checks } from "../vm/guest/checks.ts";
import { bootAndCheck, type Report } from "../vm/machine.ts";

describe("on a machine with systemd and cgroup v2", () => {
  let report: Report;

  before("boots it, which takes minutes", async function () {
    if (process.arch !== "x64") this.skip();
    this.timeout(1_500_000);
    report = await bootAndCheck();
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

  it("a published port answers from outside, and sees the client's address", () => {
    assert.ok(report.fromOutside.length > 0, "no answer from outside");
    assert.match(report.fromOutside.join("\n"), /^client: 10\.0\.2\.2:/m);
  });
});
