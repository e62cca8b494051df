import assert from "node:assert/strict";
import { audit } from "../../src/audit.ts";
import { creel, docker } from "../../src/cli.ts";
import { nodeState, prepare } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { until } from "../../src/wait.ts";

interface Why {
  Summary: string;
  Causes: { Code: string; At?: string; Until?: string; Text: string; Tasks?: string[]; Count?: number }[];
}

describe("why", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3 });
  afterEach(() => audit(fixture.lab));
  before(() => prepare(fixture.lab));
  const on = () => docker(fixture.lab);
  const why = async (kind: string, name: string) =>
    JSON.parse(await creel(fixture.lab, "node2").ok("why", kind, "--json", name)) as Why;
  /** Waits for a cause with that code and text. */
  const cause = (kind: string, name: string, code: string, text: RegExp) =>
    until(`${kind} ${name}: ${code} ${text}`, async () => {
      const { Causes } = await why(kind, name);
      const found = Causes.find((each) => each.Code === code && text.test(each.Text));
      if (!found) throw new Error(JSON.stringify(Causes));
      return found;
    });
  /** The ERROR column, without docker's quotation marks. */
  const errors = async (name: string) =>
    (await on().ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", name)).replaceAll('"', "");

  it("tasks have no place, with numbers", async () => {
    await on().ok("node", "update", "--availability", "drain", "node3");
    await on().ok(
      "service",
      "create",
      "-d",
      "--name",
      "big",
      "--replicas",
      "2",
      "--reserve-memory",
      "900G",
      "whoami",
    );
    const found = await cause("service", "big", "no-place", /./);
    assert.match(
      found.Text,
      /^2 of 3 nodes: not enough memory: needs 900\.0 GiB of memory, largest free [\d.]+ [GM]iB on node\d; 1 of 3 nodes: node3 is drained$/,
    );
    assert.equal(found.Count, 2);
    assert.match(
      await errors("big"),
      /^no suitable node \(insufficient resources on 2 nodes; 1 node not available/m,
    );
    assert.match((await why("node", "node3")).Summary, /^node3 is drained: it takes no tasks/);
    const { stdout } = await creel(fixture.lab).run(["why", "service", "big"]);
    assert.match(
      stdout,
      /^big: 0 of 2 tasks run\n {2}.* ago {2}big\.1, big\.2: 2 of 3 nodes: not enough memory: /,
    );
    await on().ok("service", "rm", "big");
    await on().ok("node", "update", "--availability", "active", "node3");
  });

  it("a task is restarted: out of memory, an exit code, a failing health check", async () => {
    const eat = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); sleep 100";
    const often = ["--restart-delay", "100ms"];
    await on().ok(
      "service",
      "create",
      "-d",
      "--name",
      "hungry",
      "--limit-memory",
      "16M",
      ...often,
      "busybox",
      "sh",
      "-c",
      eat,
    );
    await on().ok("service", "create", "-d", "--name", "exits", ...often, "busybox", "sh", "-c", "exit 3");
    const check = [
      "--health-cmd",
      "echo no pulse; exit 1",
      "--health-interval",
      "200ms",
      "--health-retries",
      "1",
    ];
    await on().ok("service", "create", "-d", "--name", "ill", ...often, ...check, "busybox", "sleep", "1000");
    await cause("service", "hungry", "restarted", /^restarted \d+ times?: exit 137, out of memory$/);
    await cause("service", "exits", "restarted", /^restarted [2-9] times: exit 3$/);
    await cause(
      "service",
      "ill",
      "restarted",
      /^restarted \d+ times?: exit \d+, unhealthy container: no pulse$/,
    );
    const waits = await cause("task", "exits.1", "restart-delay", /^waits for the restart delay to pass$/);
    assert.ok(Date.parse(waits.Until!) > Date.parse(waits.At!));
    assert.match(await errors("exits"), /^task: non-zero exit \(3\)$/m);
    assert.match(await errors("hungry"), /^task: non-zero exit \(137\): out of memory$/m);
    await on().ok("service", "rm", "hungry", "exits", "ill");
  });

  it("an image cannot be had; an update is paused because of a task", async () => {
    await on().ok("service", "create", "-q", "--name", "web", "--replicas", "2", "whoami");
    const none = ["--image", "none.invalid/none:1", "--no-resolve-image", "--update-failure-action", "pause"];
    await on().run(["service", "update", "-d", ...none, "web"]);
    await cause(
      "service",
      "web",
      "update-paused",
      /^update paused due to failure .*: web\.\d: .*none\.invalid\/none/,
    );
    await on().ok("service", "rm", "web");
  });

  it("docker's and creel's waiting ends with the cause when a service cannot come to be as wanted", async () => {
    const create = (name: string) => [
      ...["service", "create", "--name", name],
      ...["--replicas", "2", "--reserve-memory", "900G", "whoami"],
    ];
    const [said, told] = await Promise.all([
      on().fails(...create("big1")),
      creel(fixture.lab).fails(...create("big2")),
    ]);
    assert.match(
      said.stderr,
      /service update paused: cannot converge: no suitable node \(insufficient resources on/,
    );
    assert.equal(told.code, 1);
    assert.match(
      told.stderr,
      /^service \S+ cannot converge: no suitable node \(insufficient resources on \d nodes\)$/m,
    );
    assert.match(told.stderr, /3 of 3 nodes: not enough memory: needs 900\.0 GiB of memory, largest free/);
    const image = ["service", "create", "--restart-delay", "100ms", "none.invalid/none:1"];
    assert.match(
      (await creel(fixture.lab).fails(...image)).stderr,
      /service [a-z]+_[a-z]+_\d+ cannot converge: .*none\.invalid/,
    );
    const once = ["service", "create", "--name", "once", "--restart-condition", "none", "busybox", "false"];
    assert.match((await on().fails(...once)).stderr, /exit 1; its restart policy lets no other follow/);
    await on().ok("service", "rm", ...(await on().ok("service", "ls", "-q")).split("\n"));
  });

  it("a task moved: its node is down", async () => {
    await on().ok(
      "service",
      "create",
      "-q",
      "--name",
      "one",
      "--constraint",
      "node.hostname!=node1",
      "whoami",
    );
    const node = await on().ok("service", "ps", "--format", "{{.Node}}", "one");
    await fixture.lab.kill(node);
    await nodeState(fixture.lab, "node1", node, "down");
    const text = new RegExp(`^moved to node\\d: ${node} missed 3 heartbeats$`);
    const via = async (kind: string, name: string) =>
      JSON.parse(await creel(fixture.lab).ok("why", kind, "--json", name)) as Why;
    await until("the move", async () => {
      const { Causes } = await via("task", "one.1");
      return Causes.some(({ Code, Text }) => Code === "moved" && text.test(Text));
    });
    const lost = await via("node", node);
    assert.match(lost.Summary, new RegExp(`^${node} is down: it takes no tasks; 0 tasks are wanted on it$`));
    assert.ok(lost.Causes.some(({ Text }) => Text === `1 task taken off: ${node} missed 3 heartbeats`));
    assert.ok(lost.Causes.some(({ Text }) => Text === "is down: missed 3 heartbeats"));
    assert.match(await errors("one"), /^node is down: heartbeat failure: missed 3 heartbeats$/m);
  });
});
