import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { withoutSecrets } from "@creel/shared";

/** What a program prints that logs by `script`. */
function logged(script: string): Record<string, unknown>[] {
  const source = `import { createLogger, setLogLevel } from "@creel/shared"; ${script}`;
  const { stderr, status } = spawnSync(process.execPath, ["--input-type=module", "-e", source], {
    encoding: "utf8",
    cwd: import.meta.dirname,
  });
  assert.equal(status, 0, stderr);
  return stderr
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

describe("the logger", function () {
  this.timeout(20_000);

  it("changes the level of children that exist already", () => {
    const lines = logged(`
      const logger = createLogger("info", { program: "test" });
      const child = logger.child({ part: "a" });
      child.debug("one"); child.info("two");
      setLogLevel(logger, "debug"); child.debug("three");
      setLogLevel(logger, "error"); child.warn("four"); logger.error("five");`);
    assert.deepEqual(
      lines.map(({ msg, part }) => [msg, part]),
      [
        ["two", "a"],
        ["three", "a"],
        ["five", undefined],
      ],
    );
  });

  it("writes no secret, by its name or by its looks", () => {
    const token = "SWMTKN-1-2qxvb0g0zt1mlw3ruxg1h5sylkhv9mzbl1wcp1hc6omtbmfzqb-0l4n9x0xoiwhqyrzm6eqfpk4h";
    const pem = "-----BEGIN PRIVATE KEY-----\\nMIGH\\n-----END PRIVATE KEY-----\\n";
    const [line] = logged(`
      createLogger("info").info({ token: "t1", deep: { key: "t2", deeper: { JoinTokens: { Worker: "t3" } } },
        headers: { authorization: "t4", "x-registry-auth": "t5" }, note: "${token} refused", pem: "${pem}" }, "t");`);
    const text = JSON.stringify(line);
    for (const secret of ["t1", "t2", "t3", "t4", "t5", "MIGH", token])
      assert.ok(!text.includes(`"${secret}`), text);
    assert.ok(!text.includes("MIGH") && !text.includes(token), text);
    assert.equal(withoutSecrets(`join with ${token}.`), "join with SWMTKN-[secret].");
  });
});
