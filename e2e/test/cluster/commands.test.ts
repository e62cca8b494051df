import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { creel, docker } from "../../src/cli.ts";
import { leader, nodeState, nodesBy, pidOf } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

interface Swarm {
  Spec: {
    Orchestration: object;
    Raft: { SnapshotInterval: number; KeepOldSnapshots: number };
    Dispatcher: { HeartbeatPeriod: number };
    CAConfig: { NodeCertExpiry: number };
  };
  DefaultAddrPool: string[];
  SubnetSize: number;
  DataPathPort: number;
}

describe("docker swarm and docker node, flag by flag", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 4, join: false });
  before(() => loadUsual(fixture.lab));
  const on = (node: string) => docker(fixture.lab, node);
  const address = (node: string) => fixture.lab.node(node).address;
  const swarm = (via = "node1") => fixture.lab.rest(via).get<Swarm>("/swarm");
  const names = async (...words: string[]) =>
    (await on("node1").ok("node", "ls", "--format", "{{.Hostname}}", ...words)).split("\n").sort();
  /** The node that has left. */
  let left = "";
  const managers = (via: string, count: number) =>
    until(`${count} managers`, async () => {
      const nodes = [...(await nodesBy(fixture.lab, via)).values()];
      return nodes.filter((node) => node.ManagerStatus?.Reachability === "reachable").length === count;
    });

  it("init: what makes no sense is refused, and nothing is left of it", async () => {
    const refused: [RegExp, ...string[]][] = [
      [/could not find the system's IP address/, "--advertise-addr", "nosuch0"],
      [/non-zero IP address/, "--advertise-addr", "0.0.0.0"],
      [/could not find the system's IP address/, "--data-path-addr", "nosuch0"],
      [/could not find the system's IP address/, "--listen-addr", "nosuch0:2377"],
      [/minimum certificate expiry time is: 1h0m0s/, "--cert-expiry", "10m"],
      [/heartbeat period must be at least/, "--dispatcher-heartbeat", "1ms"],
      [
        /external certificate authorities are not supported/,
        "--external-ca",
        "protocol=cfssl,url=https://ca",
      ],
      [/smaller than one subnet/, "--default-addr-pool", "10.9.0.0/28"],
      [/data path port/, "--data-path-port", "80"],
    ];
    for (const [reason, ...words] of refused)
      assert.match((await on("node1").fails("swarm", "init", ...words)).stderr, reason);
    assert.equal(await on("node1").ok("info", "--format", "{{.Swarm.LocalNodeState}}"), "inactive");
    assert.match((await on("node1").fails("swarm", "unlock")).stderr, /not part of a swarm/);
  });

  it("init: each flag is carried out", async () => {
    const flags = {
      "advertise-addr": "eth0",
      "listen-addr": "0.0.0.0:2377",
      "data-path-addr": "eth0",
      "data-path-port": "7777",
      "default-addr-pool": "10.77.0.0/16",
      "default-addr-pool-mask-length": "26",
      availability: "drain",
      "cert-expiry": "48h",
      "dispatcher-heartbeat": "10s",
      "max-snapshots": "2",
      "snapshot-interval": "20",
      "task-history-limit": "3",
    };
    const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const said = await on("node1").ok("swarm", "init", ...words);
    assert.match(said, new RegExp(`${address("node1")}:2377`));
    const found = await swarm();
    assert.deepEqual(
      [found.DefaultAddrPool, found.SubnetSize, found.DataPathPort],
      [["10.77.0.0/16"], 26, 7777],
    );
    assert.deepEqual(found.Spec.Orchestration, { TaskHistoryRetentionLimit: 3 });
    assert.equal(found.Spec.Dispatcher.HeartbeatPeriod, 10e9);
    assert.equal(found.Spec.CAConfig.NodeCertExpiry, 48 * 3600e9);
    assert.deepEqual([found.Spec.Raft.SnapshotInterval, found.Spec.Raft.KeepOldSnapshots], [20, 2]);
    assert.equal(await on("node1").ok("node", "inspect", "self", "-f", "{{.Spec.Availability}}"), "drain");
    assert.match((await on("node1").fails("swarm", "init")).stderr, /already part of a swarm/);
    await on("node1").ok("network", "create", "-d", "overlay", "app");
    // Its addresses are given to it a moment later.
    await until("a subnet of the pool", async () =>
      /"Subnet": "10\.77\.\d+\.\d+\/26"/.test(await on("node1").ok("network", "inspect", "app")),
    );
  });

  it("join: as the token says, and with its flags", async () => {
    const to = `${address("node1")}:2377`;
    const manager = await on("node1").ok("swarm", "join-token", "-q", "manager");
    const worker = await on("node1").ok("swarm", "join-token", "-q", "worker");
    const flags = ["--advertise-addr", "eth0", "--data-path-addr", "eth0", "--listen-addr", "0.0.0.0:2377"];
    assert.match(
      (await on("node2").fails("swarm", "join", "--token", manager, "127.0.0.1:9")).stderr,
      /cannot reach/,
    );
    await on("node2").ok("swarm", "join", "--token", manager, ...flags, to);
    await on("node3").ok("swarm", "join", "--token", worker, "--availability", "pause", to);
    await on("node4").ok("swarm", "join", "--token", manager, to);
    assert.match(
      (await on("node3").fails("swarm", "join", "--token", worker, to)).stderr,
      /already part of a swarm/,
    );
    assert.match(
      (await on("node3").fails("swarm", "join-token", "worker")).stderr,
      /Worker nodes can't be used/,
    );
    assert.equal(await on("node1").ok("node", "inspect", "node3", "-f", "{{.Spec.Availability}}"), "pause");
    await managers("node1", 3);
  });

  it("join-token: each role's is rotated by itself", async () => {
    const before = await on("node1").ok("swarm", "join-token", "-q", "worker");
    const manager = await on("node1").ok("swarm", "join-token", "-q", "manager");
    assert.match(
      await on("node1").ok("swarm", "join-token", "--rotate", "worker"),
      /Successfully rotated worker join token/,
    );
    assert.notEqual(await on("node1").ok("swarm", "join-token", "-q", "worker"), before);
    assert.equal(await on("node1").ok("swarm", "join-token", "-q", "manager"), manager);
  });

  it("update: settings take effect while the cluster runs", async () => {
    const files = () =>
      readdirSync(join(fixture.lab.dir, "node1/data/swarm/manager/raft")).filter((name) =>
        name.endsWith(".snapshot"),
      );
    const change = (n: number) => on("node1").ok("node", "update", "--label-add", `n=${n}`, "node1");
    for (let n = 0; files().length < 2; n++) await change(n);
    await on("node1").ok("swarm", "update", "--snapshot-interval", "5", "--max-snapshots", "0");
    for (let n = 0; files().length !== 1; n++) await change(n);
    await on("node1").ok(
      "swarm",
      "update",
      "--dispatcher-heartbeat",
      "300ms",
      "--task-history-limit",
      "0",
      "--cert-expiry",
      "3h",
    );
    const found = await swarm("node2");
    assert.equal(found.Spec.Dispatcher.HeartbeatPeriod, 3e8);
    assert.deepEqual(found.Spec.Orchestration, { TaskHistoryRetentionLimit: 0 });
    assert.equal(found.Spec.CAConfig.NodeCertExpiry, 3 * 3600e9);
    for (const words of [
      ["--cert-expiry", "1m"],
      ["--dispatcher-heartbeat", "1ms"],
    ])
      assert.match((await on("node1").fails("swarm", "update", ...words)).stderr, /minimum|at least/);
    await creel(fixture.lab).ok("swarm", "update", "--max-snapshots", "1");
    assert.equal((await swarm()).Spec.Raft.KeepOldSnapshots, 1);
  });

  it("update: how often nodes are heard of, and how much history is kept, is as it says", async () => {
    await on("node1").ok("swarm", "update", "--dispatcher-heartbeat", "300ms", "--task-history-limit", "0");
    const pid = String(pidOf(fixture.lab, "node3", "creeld"));
    const signal = (name: string) => fixture.lab.exec("node3", ["kill", `-${name}`, pid]);
    signal("STOP");
    // with the period of before, 10 s, it would be 30 s
    try {
      await nodeState(fixture.lab, "node1", "node3", "down", 20_000);
    } finally {
      signal("CONT");
    }
    await nodeState(fixture.lab, "node1", "node3", "ready");
    const monitor = ["--update-monitor", "10ms", "--stop-grace-period", "1s"];
    await on("node1").ok("service", "create", "-d", "--name", "h", ...monitor, "whoami");
    const states = async () =>
      (await on("node1").ok("service", "ps", "h", "--format", "{{.DesiredState}}")).split("\n").sort().join();
    const replaced = async (expected: string) => {
      const before = await on("node1").ok("service", "ps", "h", "-q", "--filter", "desired-state=running");
      await on("node1").ok("service", "update", "-d", "--force", "h");
      await until(expected, async () => {
        const now = await on("node1").ok("service", "ps", "h", "-q", "--filter", "desired-state=running");
        return now !== before && (await states()) === expected;
      });
    };
    await until("it runs", async () => (await states()) === "Running");
    await on("node1").ok("swarm", "update", "--task-history-limit", "1");
    await replaced("Running,Shutdown");
    await replaced("Running,Shutdown");
    await on("node1").ok("swarm", "update", "--task-history-limit", "0");
    await replaced("Running");
    await on("node1").ok("service", "rm", "h");
  });

  it("node: ls, inspect, ps and update with filters, formats and labels", async () => {
    await on("node1").ok("node", "update", "--label-add", "zone=a", "--label-add", "disk", "node3");
    assert.deepEqual(await names("--filter", "role=worker"), ["node3"]);
    assert.deepEqual(await names("--filter", "name=node2"), ["node2"]);
    assert.deepEqual(await names("--filter", "node.label=zone=a"), ["node3"]);
    assert.deepEqual(await names("--filter", "membership=accepted"), ["node1", "node2", "node3", "node4"]);
    const id = await on("node1").ok("node", "inspect", "-f", "{{.ID}}", "node2");
    assert.deepEqual(await names("--filter", `id=${id}`), ["node2"]);
    assert.match((await on("node1").fails("node", "ls", "--filter", "nonsense=1")).stderr, /invalid filter/);
    assert.equal(await on("node3").ok("info", "-f", "{{.Swarm.ControlAvailable}}"), "false");
    assert.match(
      await on("node2").ok("node", "inspect", "--pretty", "self"),
      /Hostname:\s+node2[\s\S]*Manager Status/,
    );
    assert.equal(await on("node1").ok("node", "ps", "-q", "self", "node2"), "");
    await on("node1").ok("node", "update", "--label-rm", "disk", "--availability", "active", "node3");
    assert.equal(
      await on("node1").ok("node", "inspect", "node3", "-f", "{{json .Spec.Labels}}"),
      '{"zone":"a"}',
    );
    assert.match(
      (await on("node1").fails("node", "update", "--label-rm", "disk", "node3")).stderr,
      /doesn't exist/,
    );
    assert.match((await on("node1").fails("node", "inspect", "nobody")).stderr, /no such node|not found/i);
    assert.match(
      (await on("node1").fails("node", "update", "--role", "king", "node3")).stderr,
      /invalid role/i,
    );
  });

  it("node: promote, demote and rm keep the quorum", async () => {
    assert.match(
      (await on("node1").fails("node", "rm", "--force", "node2")).stderr,
      /must be demoted to worker before removal/,
    );
    assert.match((await on("node1").fails("node", "rm", "node3")).stderr, /is not down and can't be removed/);
    assert.match(await on("node1").ok("node", "promote", "node2"), /already a manager/);
    await fixture.lab.kill("node4");
    await managers("node1", 2);
    assert.match((await on("node1").fails("node", "demote", "node2")).stderr, /loss of quorum/);
    assert.match((await on("node1").fails("swarm", "leave")).stderr, /leaves 1 managers out of 3/);
    await on("node1").ok("node", "demote", "node4");
    await until(
      "it can go",
      async () => (await on("node1").run(["node", "rm", "--force", "node4"])).code === 0,
    );
    assert.deepEqual(await names(), ["node1", "node2", "node3"]);
    await on("node1").ok("node", "promote", "node3");
    await managers("node1", 3);
  });

  it("leave: a leader hands over; one that is out is missed at once", async () => {
    const first = (await leader(fixture.lab, "node1"))!;
    left = first;
    const other = first === "node2" ? "node1" : "node2";
    assert.match(
      (await on(first).fails("swarm", "leave")).stderr,
      /Doing so may lose the consensus of your cluster/,
    );
    await on(first).ok("swarm", "leave", "--force");
    await until("another leads", async () => ![undefined, first].includes(await leader(fixture.lab, other)));
    const gone = (await nodesBy(fixture.lab, other)).get(first)!;
    assert.deepEqual([gone.Spec.Role, gone.ManagerStatus], ["worker", undefined]);
    await until(
      "it is down",
      async () => (await nodesBy(fixture.lab, other)).get(first)?.Status.State === "down",
    );
    await on(other).ok("node", "rm", first);
    const last = (await nodesBy(fixture.lab, other)).size;
    assert.equal(last, 2);
  });

  it("demote and leave: the last manager warns", async () => {
    const only = (await leader(fixture.lab, left === "node3" ? "node1" : "node3"))!;
    const rest = [...(await nodesBy(fixture.lab, only)).keys()].filter((name) => name !== only);
    await on(only).ok("node", "demote", ...rest);
    await managers(only, 1);
    assert.match((await on(only).fails("node", "demote", only)).stderr, /last manager of the swarm/);
    assert.match(
      (await on(only).fails("swarm", "leave")).stderr,
      /Removing the last manager erases all current state of the swarm\. Use `--force`/,
    );
  });
});
