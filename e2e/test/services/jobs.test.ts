import assert from "node:assert/strict";
import { audit } from "../../src/audit.ts";
import { creel, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

describe("jobs", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1 });
  afterEach(() => audit(fixture.lab));
  before(() => loadUsual(fixture.lab));
  afterEach(() => audit(fixture.lab));
  const cli = () => docker(fixture.lab);
  const listed = (name: string) =>
    cli().ok("service", "ls", "--filter", `name=${name}`, "--format", "{{.Mode}} {{.Replicas}}");
  const tasks = async (name: string, format = "{{.ID}} {{.CurrentState}}") =>
    (await cli().ok("service", "ps", "--no-trunc", "--format", format, name)).split("\n");
  const create = (...args: string[]) => cli().ok("service", "create", "--restart-delay", "0s", ...args);

  it("run to their end, so many at a time, and docker's progress ends", async () => {
    const said = await create(
      ...["--name", "count", "--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2"],
      ...["busybox", "sh", "-c", "sleep 0.2; date +%s%N; sleep 0.2; date +%s%N"],
    );
    assert.match(said, /job complete/);
    assert.equal(await listed("count"), "replicated job 0/2 (5/5 completed)");
    const done = await tasks("count");
    assert.equal(done.length, 5);
    for (const line of done) assert.match(line, / Complete /);
    const { stdout } = await cli().run(["service", "logs", "--raw", "count"]);
    assert.equal(stdout.trim().split("\n").length, 10, "what they printed is kept");
  });

  it("complete further times when scaled, and all anew when forced", async () => {
    const first = await tasks("count", "{{.ID}}");
    await cli().ok("service", "scale", "count=6");
    assert.equal(await listed("count"), "replicated job 0/2 (6/6 completed)");
    assert.equal((await tasks("count", "{{.ID}}")).filter((id) => first.includes(id)).length, 5);
    await creel(fixture.lab).ok("service", "update", "--force", "--max-concurrent", "6", "count");
    assert.equal(await listed("count"), "replicated job 0/6 (6/6 completed)");
    const [service] = JSON.parse(await cli().ok("service", "inspect", "count"));
    assert.equal(service.JobStatus.JobIteration.Index, 2);
  });

  it("are tried again when they fail, as often as the policy says", async () => {
    await create(
      ...["--detach", "--name", "fails", "--mode", "replicated-job"],
      ...["--restart-max-attempts", "2", "busybox", "sh", "-c", "exit 7"],
    );
    await until("three failures", async () => {
      const ended = await tasks("fails", "{{.CurrentState}} {{.Error}}");
      return ended.length === 3 && ended.every((line) => /^Failed .*task: non-zero exit \(7\)/.test(line));
    });
    assert.equal(await listed("fails"), "replicated job 0/1 (0/1 completed)");
  });

  it("run once on each node", async () => {
    const said = await create("--name", "each", "--mode", "global-job", "busybox", "true");
    assert.match(said, /job complete/);
    assert.deepEqual(
      (await tasks("each", "{{.Node}} {{.CurrentState}}"))
        .map((line) => line.split(" ").slice(0, 2).join(" "))
        .sort(),
      ["node1 Complete", "node2 Complete"],
    );
    assert.equal(await listed("each"), "global job 0/0 (2/2 completed)");
  });

  it("are run by creel in the same words", async () => {
    const said = await creel(fixture.lab).ok(
      ...[
        "service",
        "create",
        "--name",
        "again",
        "--mode",
        "replicated-job",
        "--replicas",
        "2",
        "busybox",
        "true",
      ],
    );
    assert.match(said, /Service again converged/);
    assert.match(
      await creel(fixture.lab).ok("service", "ls"),
      /again +replicated job +0\/2 \(2\/2 completed\)/,
    );
    await creel(fixture.lab).ok("service", "update", "--force", "each");
  });

  it("have no updates, no other mode, and leave nothing when removed", async () => {
    const rest = fixture.lab.rest("node1");
    const [service] = JSON.parse(await cli().ok("service", "inspect", "count"));
    const change = (spec: object) =>
      rest.post(`/services/count/update?version=${service.Version.Index}`, { ...service.Spec, ...spec });
    await assert.rejects(change({ UpdateConfig: { Parallelism: 1 } }), /Jobs may not have an update config/);
    await assert.rejects(change({ Mode: { Global: {} } }), /service mode change is not allowed/);
    await cli().ok("service", "rm", "count", "fails", "each", "again");
    for (const { name } of fixture.lab.nodes)
      await until("no container", async () => (await docker(fixture.lab, name).ok("ps", "-aq")) === "");
  });
});
