import assert from "node:assert/strict";
import { creel, docker } from "../src/cli.ts";
import { nodeState, removeLeft } from "../src/faults.ts";
import { useLab } from "../src/fixture.ts";
import { loadUsual } from "../src/images.ts";
import { until } from "../src/wait.ts";

interface NodeLine {
  Hostname: string;
  Status: string;
  Availability: string;
  ManagerStatus: string;
  Self: boolean;
}

describe("docker makes machines a cluster", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3, join: false });
  const on = (node: string) => docker(fixture.lab, node);
  const address = (node: string) => fixture.lab.node(node).address;

  async function nodes(via = "node1"): Promise<Map<string, NodeLine>> {
    const lines = await on(via).ok("node", "ls", "--format", "{{json .}}");
    return new Map(
      lines
        .split("\n")
        .map((line) => JSON.parse(line) as NodeLine)
        .map((node) => [node.Hostname, node]),
    );
  }

  it("says what a node outside of a cluster says", async () => {
    assert.match((await on("node1").fails("node", "ls")).stderr, /This node is not a swarm manager/);
    assert.match((await on("node1").fails("swarm", "leave")).stderr, /not part of a swarm/);
  });

  it("init, then join with the tokens", async () => {
    const said = await on("node1").ok("swarm", "init", "--advertise-addr", address("node1"));
    assert.match(said, /Swarm initialized: current node \([0-9a-z]{25}\) is now a manager/);
    assert.match(
      said,
      new RegExp(`docker swarm join --token SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25} ${address("node1")}:2377`),
    );
    assert.match((await on("node1").fails("swarm", "init")).stderr, /already part of a swarm/);
    const manager = await on("node1").ok("swarm", "join-token", "-q", "manager");
    const worker = await on("node1").ok("swarm", "join-token", "-q", "worker");
    const to = `${address("node1")}:2377`;
    assert.match(
      await on("node2").ok("swarm", "join", "--token", manager, to),
      /This node joined a swarm as a manager/,
    );
    assert.match(
      await on("node3").ok("swarm", "join", "--token", worker, to),
      /This node joined a swarm as a worker/,
    );
    await until(
      "all ready",
      async () => [...(await nodes()).values()].filter((node) => node.Status === "Ready").length === 3,
    );
    const seen = await nodes("node2");
    assert.deepEqual(
      ["node1", "node2", "node3"].map((name) => seen.get(name)?.ManagerStatus),
      ["Leader", "Reachable", ""],
    );
    assert.match(
      (await on("node3").fails("node", "ls")).stderr,
      /Worker nodes can't be used to view or modify cluster state/,
    );
  });

  it("refuses tokens that are wrong", async () => {
    const worker = await on("node1").ok("swarm", "join-token", "-q", "worker");
    await on("node3").ok("swarm", "leave");
    const to = `${address("node1")}:2377`;
    const fails = async (token: string) =>
      (await on("node3").fails("swarm", "join", "--token", token, to)).stderr;
    assert.match(await fails("nonsense"), /invalid join token/);
    const last = worker.at(-1) === "0" ? "1" : "0";
    assert.match(await fails(worker.slice(0, -1) + last), /join token was refused/);
    const [, , digest] = worker.split("-");
    const other = digest!.at(-1) === "0" ? "1" : "0";
    assert.match(
      await fails(worker.replace(digest!, digest!.slice(0, -1) + other)),
      /remote CA does not match fingerprint/,
    );
    assert.equal(await on("node3").ok("info", "--format", "{{.Swarm.LocalNodeState}}"), "inactive");
    await on("node1").ok("swarm", "join-token", "--rotate", "-q", "worker");
    assert.match(await fails(worker), /join token was refused/);
  });

  it("refuses a token that has expired, and takes the next one", async () => {
    const to = `${address("node1")}:2377`;
    const before = (await on("node1").ok("node", "ls", "-q")).split("\n").sort();
    const short = await creel(fixture.lab, "node2").ok(
      "swarm",
      "join-token",
      "--rotate",
      "--ttl",
      "1s",
      "-q",
      "worker",
    );
    const { JoinTokens } = await fixture.lab.rest("node1").get<{
      JoinTokens: { Worker: string; WorkerExpiresAt: string; ManagerExpiresAt?: string };
    }>("/swarm");
    assert.equal(JoinTokens.Worker, short);
    assert.equal(JoinTokens.ManagerExpiresAt, undefined);
    await until("it has expired", async () => Date.now() >= Date.parse(JoinTokens.WorkerExpiresAt));
    const refusal = (await on("node3").fails("swarm", "join", "--token", short, to)).stderr;
    assert.ok(refusal.includes(`the join token expired at ${JoinTokens.WorkerExpiresAt}`), refusal);
    assert.equal(await on("node3").ok("info", "--format", "{{.Swarm.LocalNodeState}}"), "inactive");
    assert.deepEqual((await on("node1").ok("node", "ls", "-q")).split("\n").sort(), before);
    assert.match(
      await creel(fixture.lab, "node1").ok("swarm", "join-token", "worker"),
      /The token expired at /,
    );
    const ttl = async (...words: string[]) =>
      (await creel(fixture.lab, "node1").fails("swarm", "join-token", ...words, "worker")).stderr;
    assert.match(await ttl("--ttl", "1h"), /--ttl goes with --rotate/);
    assert.match(await ttl("--rotate", "--ttl", "100000h"), /life-time must be from 1s to 87600h/);
    const said = await creel(fixture.lab, "node1").ok(
      "swarm",
      "join-token",
      "--rotate",
      "--ttl",
      "1h",
      "worker",
    );
    assert.match(said, /The token is good until \d{4}-/);
    const next = await on("node1").ok("swarm", "join-token", "-q", "worker");
    await on("node3").ok("swarm", "join", "--token", next, to);
  });

  it("removes a node that has left, changes availability and roles", async () => {
    await removeLeft(fixture.lab, "node1", "node3");
    await nodeState(fixture.lab, "node1", "node3", "ready");
    const alive = await on("node1").ok("node", "inspect", "--format", "{{.ID}}", "node3");
    assert.match((await on("node1").fails("node", "rm", alive)).stderr, /is not down and can't be removed/);
    await on("node1").ok("node", "update", "--availability", "drain", "--label-add", "zone=a", "node2");
    const [inspected] = JSON.parse(await on("node1").ok("node", "inspect", "node2")) as [
      { Spec: { Availability: string; Labels: object } },
    ];
    assert.deepEqual([inspected.Spec.Availability, inspected.Spec.Labels], ["drain", { zone: "a" }]);
    await on("node1").ok("node", "update", "--availability", "active", "node2");
    await on("node1").ok("node", "promote", alive);
    await until(
      "node3 is a manager",
      async () => (await nodes()).get("node3")?.ManagerStatus === "Reachable",
    );
    // its place in Raft is told a moment before its own door to the cluster opens
    await until("node3 answers for the cluster", () => on("node3").ok("node", "ls"));
    await on("node1").ok("node", "demote", alive);
    await until("node3 is a worker", async () => (await nodes()).get("node3")?.ManagerStatus === "");
  });

  it("lets a manager leave only with force, and then starts anew", async () => {
    // the cluster knows that a node is a worker before the node itself does
    const leaves = (node: string) =>
      until(`${node} has left`, async () => (await on(node).run(["swarm", "leave"])).code === 0);
    await leaves("node3");
    assert.match(
      (await on("node2").fails("swarm", "leave")).stderr,
      /You are attempting to leave the swarm on a node that is participating as a manager/,
    );
    await on("node2").ok("node", "demote", "node2");
    await until("node2 is a worker", async () => (await nodes()).get("node2")?.ManagerStatus === "");
    await leaves("node2");
    await on("node1").ok("swarm", "leave", "--force");
    assert.equal(await on("node1").ok("info", "--format", "{{.Swarm.LocalNodeState}}"), "inactive");
    await on("node1").ok("swarm", "init", "--advertise-addr", address("node1"));
    assert.equal((await nodes()).size, 1);
  });
});

describe("overlay networks", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1 });
  before(() => loadUsual(fixture.lab));

  it("are made, listed, inspected and removed, and not while they are used", async () => {
    const cli = docker(fixture.lab);
    await cli.ok("network", "create", "-d", "overlay", "app");
    assert.match((await cli.fails("network", "create", "-d", "overlay", "app")).stderr, /already exists/);
    const [network] = JSON.parse(await cli.ok("network", "inspect", "app")) as [
      { Driver: string; Scope: string; IPAM: { Config: { Subnet: string }[] } },
    ];
    assert.deepEqual([network.Driver, network.Scope], ["overlay", "swarm"]);
    assert.match(network.IPAM.Config[0]!.Subnet, /^10\.0\.\d+\.0\/24$/);
    await cli.ok("service", "create", "-q", "--name", "user", "--network", "app", "whoami");
    assert.match((await cli.fails("network", "rm", "app")).stderr, /in use/);
    await cli.ok("create", "--name", "single", "busybox");
    for (const args of [
      ["create", "--network", "app", "busybox"],
      ["network", "connect", "app", "single"],
    ])
      assert.match((await cli.fails(...args)).stderr, /network app not manually attachable/);
    await cli.ok("rm", "single");
    await cli.ok("service", "rm", "user");
    await until("removal", async () => (await cli.run(["network", "rm", "app"])).code === 0);
    await until(
      "the node's part is gone",
      async () => !(await cli.ok("network", "ls", "--format", "{{.Name}}")).split("\n").includes("app"),
    );
  });
});
