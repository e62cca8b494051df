import assert from "node:assert/strict";
import { audit } from "../../src/audit.ts";
import { docker } from "../../src/cli.ts";
import { killProgram, nodeState } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

describe("single containers on the cluster's networks", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1 });
  const on = (node: string) => docker(fixture.lab, node);
  const addressOf = (node: string, name: string) =>
    on(node).ok("inspect", "-f", '{{(index .NetworkSettings.Networks "mesh").IPAddress}}', name);
  const fetch = (node: string, from: string, url: string) =>
    on(node).run(["exec", from, "wget", "-qO-", url]);
  const reaches = (node: string, from: string, url: string, what: RegExp) =>
    until(`${from} reaches ${url}`, async () => what.test((await fetch(node, from, url)).stdout));

  before(async () => {
    await loadUsual(fixture.lab);
    await on("node1").ok("network", "create", "-d", "overlay", "--attachable", "mesh");
    await on("node1").ok("network", "create", "-d", "overlay", "closed");
    await on("node1").ok(
      "service",
      "create",
      "-d",
      "--name",
      "web",
      "--replicas",
      "2",
      "--network",
      "mesh",
      "whoami",
    );
  });
  afterEach(() => audit(fixture.lab));

  it("are refused where the network is not for them, or is not there; nothing is half-made", async () => {
    for (const node of ["node1", "node2"]) {
      const closed = await on(node).fails("run", "--rm", "--network", "closed", "busybox", "true");
      assert.match(closed.stderr, /Could not attach to network closed: .* not manually attachable/);
      const nowhere = await on(node).fails("run", "--rm", "--network", "nowhere", "busybox", "true");
      assert.match(nowhere.stderr, /network nowhere not found/);
      const out = await on(node).fails(
        "run",
        "--rm",
        "--network",
        "mesh",
        "--ip",
        "192.0.2.1",
        "busybox",
        "true",
      );
      assert.match(out.stderr, /address 192\.0\.2\.1 is taken, or not of the network/);
      assert.equal(await on(node).ok("ps", "-aq", "--filter", "ancestor=busybox"), "");
    }
  });

  it("reach services by name, and each other across nodes by name and alias", async () => {
    await on("node1").ok("run", "-d", "--name", "one", "--network", "mesh", "busybox", "sleep", "1000");
    await on("node2").ok(
      "run",
      "-d",
      "--name",
      "two",
      "--network",
      "mesh",
      "--network-alias",
      "second",
      "whoami",
    );
    await reaches("node1", "one", "http://web:8080/", /./);
    await reaches("node1", "one", "http://two:8080/", /./);
    await reaches("node1", "one", "http://second:8080/", /./);
    const [one, two] = [await addressOf("node1", "one"), await addressOf("node2", "two")];
    assert.notEqual(one, two);
    await reaches("node1", "one", `http://${two}:8080/`, /./);
    assert.match(
      await on("node2").ok("run", "--rm", "--network", "mesh", "busybox", "nslookup", "one"),
      new RegExp(one),
    );
  });

  it("keep their place while they are stopped and while programs are killed; a name goes with its container", async () => {
    const two = await addressOf("node2", "two");
    await on("node2").ok("stop", "-t", "1", "two");
    await until(
      "the name is gone",
      async () => (await fetch("node1", "one", "http://second:8080/")).code !== 0,
    );
    assert.match((await on("node1").fails("network", "rm", "mesh")).stderr, /in use by/);
    await killProgram(fixture.lab, "node2", "engine");
    await killProgram(fixture.lab, "node2", "creeld");
    await nodeState(fixture.lab, "node1", "node2", "ready");
    await on("node2").ok("start", "two");
    assert.equal(await addressOf("node2", "two"), two);
    await reaches("node1", "one", "http://second:8080/", /./);
    await killProgram(fixture.lab, "node1", "creeld");
    await reaches("node1", "one", "http://two:8080/", /./);
  });

  it("are connected and disconnected while they run; the address is free again then", async () => {
    await on("node2").ok("run", "-d", "--name", "three", "busybox", "sleep", "1000");
    await on("node2").ok("network", "connect", "--alias", "third", "mesh", "three");
    const address = await addressOf("node2", "three");
    await reaches("node2", "three", "http://web:8080/", /./);
    await on("node2").ok("network", "disconnect", "mesh", "three");
    await until(
      "another has the address",
      async () =>
        (await on("node1").run(["run", "--rm", "--network", "mesh", "--ip", address, "busybox", "true"]))
          .code === 0,
    );
    await on("node2").ok("rm", "-f", "three");
  });

  it("hold the network, and give it back at their removal", async () => {
    await on("node1").ok("service", "rm", "web");
    await until("only containers hold it", async () =>
      /in use by container (one|two) on node node[12]/.test(
        (await on("node1").run(["network", "rm", "mesh"])).stderr,
      ),
    );
    await on("node1").ok("rm", "-f", "one");
    await on("node2").ok("rm", "-f", "two");
    await on("node1").ok("network", "rm", "mesh");
    await until(
      "it has left the worker",
      async () => !(await on("node2").ok("network", "ls")).includes("mesh"),
    );
  });
});
