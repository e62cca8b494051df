import assert from "node:assert/strict";
import type { TaskView } from "../../../tools/src/demo/service.ts";
import { audit } from "../../src/audit.ts";
import { docker } from "../../src/cli.ts";
import { nodesBy, note, runningTasks, Traffic } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const ENV = ["--env", "TASK={{.Task.Name}}", "--env", "NODE={{.Node.Hostname}}"];
/** Requests to the virtual address $VIP from within the overlay, each failure a line. */
const CLIENT = `
  n=0
  while :; do
    printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 $VIP 8080 2>/tmp/err | grep -q hostname || echo FAILED $(date +%s) $(cat /tmp/err)
    n=$((n+1)); [ $((n%20)) = 0 ] && echo asked $n
  done`;

describe("updates", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3 });
  afterEach(() => audit(fixture.lab));
  before(() => loadUsual(fixture.lab));
  afterEach(() => audit(fixture.lab));
  const cli = () => docker(fixture.lab);
  const hosts = () => fixture.lab.nodes.map(({ name, address }) => ({ name, address }));
  const inspect = async (name: string) => JSON.parse(await cli().ok("service", "inspect", name))[0];
  /** Of web, on the network app. */
  async function vip(): Promise<string> {
    const network = await cli().ok("network", "inspect", "--format", "{{.ID}}", "app");
    const { Endpoint } = await inspect("web");
    type Vip = { NetworkID: string; Addr: string };
    return Endpoint.VirtualIPs.find(({ NetworkID }: Vip) => NetworkID === network).Addr.split("/")[0];
  }
  const ids = async (name: string) =>
    (await runningTasks(fixture.lab, "node1", name)).map(({ ID }) => ID).sort();

  describe("under constant requests", () => {
    let traffic: Traffic;
    before(async () => {
      await cli().ok("network", "create", "-d", "overlay", "app");
      await cli().ok(
        ...["service", "create", "-q", "--name", "web", "--replicas", "6", "--publish", "8080:8080"],
        ...[
          "--network",
          "app",
          "--update-parallelism",
          "2",
          "--update-monitor",
          "200ms",
          "--rollback-monitor",
          "200ms",
          ...ENV,
          "whoami",
        ],
      );
      await cli().ok(
        "service",
        "create",
        "-q",
        "--name",
        "client",
        "--env",
        `VIP=${await vip()}`,
        "--network",
        "app",
        "busybox",
        "sh",
        "-c",
        CLIENT,
      );
      await until("requests", async () => /asked/.test(await cli().ok("service", "logs", "client")));
    });
    beforeEach(() => {
      traffic = new Traffic(hosts(), 8080, 4, 3000);
    });
    afterEach(async () => {
      await traffic.stop();
      assert.deepEqual(traffic.failures, []);
      assert.ok(traffic.total > 10);
      const logs = await cli().ok("service", "logs", "--raw", "client");
      assert.deepEqual(logs.match(/FAILED.*/g)?.slice(0, 4) ?? [], []);
      note(
        `${traffic.total} requests from outside, none failed; within, ${/.*asked (\d+)/s.exec(logs)![1]} so far`,
      );
    });

    it("an update replaces all tasks, and fails no request", async () => {
      const before = await ids("web");
      await cli().ok("service", "update", "-q", "--env-add", "ROUND=2", "web");
      const now = await ids("web");
      assert.equal(now.length, 6);
      assert.ok(now.every((id) => !before.includes(id)));
      assert.equal((await inspect("web")).UpdateStatus.Message, "update completed");
    });

    it("so does one that starts first", async () => {
      await cli().ok(
        "service",
        "update",
        "-q",
        "--env-add",
        "ROUND=3",
        "--update-order",
        "start-first",
        "web",
      );
      assert.equal((await ids("web")).length, 6);
    });

    it("scaling down fails none", async () => {
      await cli().ok("service", "scale", "web=3");
      assert.equal((await ids("web")).length, 3);
      await until("the others are gone", async () => {
        const tasks = await fixture.lab.rest("node1").get<TaskView[]>("/tasks");
        return tasks.filter(({ Status }) => Status.State === "running").length === 4;
      });
    });

    it("draining a node fails none, and its tasks run elsewhere", async () => {
      const node = [...(await nodesBy(fixture.lab, "node1"))].find(([name]) => name === "node3")![1];
      await cli().ok("node", "update", "--availability", "drain", "node3");
      await until("moved", async () => {
        const tasks = await runningTasks(fixture.lab, "node1", "web");
        return tasks.length === 3 && tasks.every(({ NodeID }) => NodeID !== node.ID);
      });
      await until(
        "nothing is left there",
        async () => (await docker(fixture.lab, "node3").ok("ps", "-q")) === "",
      );
      await cli().ok("node", "update", "--availability", "active", "node3");
    });

    it("a rollback fails none", async () => {
      await cli().ok("service", "rollback", "-q", "web");
      await until("the end", async () => (await inspect("web")).UpdateStatus.State === "rollback_completed");
      assert.equal((await ids("web")).length, 6, "the spec before the scaling");
    });

    it("labels, replicas and settings replace nothing; nor does a placement that the nodes meet", async () => {
      const before = await ids("web");
      await cli().ok(
        ...["service", "update", "-q", "--label-add", "a=b", "--update-delay", "1s", "--replicas", "5"],
        ...["--constraint-add", "node.platform.os==linux", "web"],
      );
      const now = await ids("web");
      assert.equal(now.length, 5);
      assert.ok(now.every((id) => before.includes(id)));
    });
    after(() => cli().ok("service", "rm", "web", "client"));
  });

  describe("that fail", () => {
    const create = (name: string, ...more: string[]) =>
      cli().ok(
        ...["service", "create", "-q", "--name", name, "--replicas", "3", "--restart-delay", "100ms"],
        ...["--update-monitor", "300ms", "--rollback-monitor", "100ms", ...more],
        ...["--stop-grace-period", "1s", "busybox", "sleep", "1000"],
      );
    const fail = (name: string, ...more: string[]) =>
      cli().run(["service", "update", "-q", "--args", "false", ...more, name]);

    it("pause at the first, with docker's words, and go on when updated again", async () => {
      await create("pauses");
      const before = await ids("pauses");
      const { code, stderr } = await fail("pauses");
      assert.equal(code, 1);
      assert.match(
        stderr,
        /service update paused: update paused due to failure or early termination of task \w{25}/,
      );
      assert.equal((await inspect("pauses")).UpdateStatus.State, "paused");
      assert.equal((await ids("pauses")).filter((id) => before.includes(id)).length, 2);
      await cli().ok("service", "update", "-q", "--args", "sleep 1000", "pauses");
      const after = await ids("pauses");
      assert.equal(after.length, 3);
      assert.equal(
        after.filter((id) => before.includes(id)).length,
        2,
        "those that the failure left are kept",
      );
    });

    it("are rolled back, what was not reached being kept", async () => {
      await create("returns", "--update-failure-action", "rollback");
      const before = await ids("returns");
      await fail("returns");
      const { UpdateStatus, Spec } = await inspect("returns");
      assert.deepEqual(
        [UpdateStatus.State, UpdateStatus.Message],
        ["rollback_completed", "rollback completed"],
      );
      assert.deepEqual(Spec.TaskTemplate.ContainerSpec.Args, ["sleep", "1000"]);
      const after = await ids("returns");
      assert.equal(after.length, 3);
      assert.equal(after.filter((id) => before.includes(id)).length, 2);
    });

    it("go on over failures that the ratio allows, or all", async () => {
      await create("goes-on", "--update-failure-action", "continue", "--restart-condition", "none");
      await cli().ok("service", "update", "-d", "--args", "false", "goes-on");
      await until("the end", async () => (await inspect("goes-on")).UpdateStatus?.CompletedAt);
      assert.match(
        (await inspect("goes-on")).UpdateStatus.Message,
        /^cannot converge: exit 1; its restart policy/,
      );
      assert.deepEqual(await ids("goes-on"), []);
    });

    it("stop no old task for an image that is nowhere", async () => {
      await create("stays");
      const before = await ids("stays");
      await cli().ok("service", "update", "-d", "--no-resolve-image", "--image", "no-such-image:1", "stays");
      await until("the pause", async () => (await inspect("stays")).UpdateStatus?.State === "paused");
      assert.deepEqual(await ids("stays"), before);
    });
    after(() => cli().ok("service", "rm", "pauses", "returns", "goes-on", "stays"));
  });
});
