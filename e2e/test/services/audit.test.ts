import assert from "node:assert/strict";
import { audit, differences } from "../../src/audit.ts";
import { docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";

describe("the audit", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1 });
  before(() => loadUsual(fixture.lab));

  it("is content with what is right, and names what is not", async () => {
    const cli = docker(fixture.lab);
    const more = ["--publish", "8080:8080", "--mount", "type=tmpfs,target=/scratch"];
    await cli.ok(
      "service",
      "create",
      "-q",
      "--name",
      "web",
      "--replicas",
      "2",
      ...more,
      "busybox",
      "sleep",
      "1000",
    );
    await audit(fixture.lab);

    const [id = ""] = (await cli.ok("ps", "-q", "--no-trunc")).split("\n");
    const pid = await cli.ok("inspect", "-f", "{{.State.Pid}}", id);
    const task = await cli.ok("inspect", "-f", '{{index .Config.Labels "com.docker.swarm.task.id"}}', id);
    const host = (...words: string[]) =>
      assert.equal(fixture.lab.exec("node1", words).code, 0, words.join(" "));
    host("nsenter", "-t", pid, "-m", "/bin/busybox", "umount", "/scratch");
    host("mkdir", `${fixture.lab.dir}/node1/run/streams/stray`);
    const found = await differences(fixture.lab, "node1");
    assert.deepEqual(found.sort(), [
      "node1: file run/streams/stray",
      `node1: task ${task}: nothing is mounted at /scratch`,
    ]);
    host("rmdir", `${fixture.lab.dir}/node1/run/streams/stray`);

    if (fixture.lab.exec("node1", ["nft", "--version"]).code !== 0) return;
    host("nft", "flush", "map", "ip", "creel", "slots");
    const rules = (await differences(fixture.lab, "node1")).join("\n");
    assert.match(rules, /published port 8080\/tcp leads to \[\], not to \[10\.\S+:8080 10\.\S+:8080\]/);
  });
});
