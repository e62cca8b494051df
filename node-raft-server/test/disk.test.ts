import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codeOf, TestCluster, type TestNode, until } from "./cluster.ts";

describe("on a disk without room", function () {
  this.timeout(90_000);
  let cluster: TestCluster;
  let mounted: string | undefined;

  const small = (node: TestNode, megabytes: number) => {
    mkdirSync(node.dir, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", node.dir]);
    mounted = node.dir;
    return join(node.dir, "ballast");
  };

  beforeEach(function () {
    if (process.getuid?.() !== 0) this.skip();
    cluster = new TestCluster();
  });
  afterEach(async () => {
    await Promise.all((cluster?.nodes ?? []).map((n) => n.stop()));
    if (mounted) execFileSync("umount", [mounted]);
    mounted = undefined;
    await cluster?.end();
  });

  it("a leader that cannot write says so, loses the lead, and catches up when there is room", async () => {
    const nodes = [1, 2, 3].map((id) => cluster.node(id));
    const full = nodes[0]!;
    const ballast = small(full, 16);
    writeFileSync(ballast, Buffer.alloc(8 << 20));
    for (const node of nodes) await node.bind();
    const bootstrap = nodes.map((n) => n.peer);
    await Promise.all(nodes.map((n) => n.start({ bootstrap })));
    // Bytes that no compression makes smaller, until the disk is full.
    const piece = () => crypto.getRandomValues(Buffer.alloc(60_000));
    let code = "none";
    for (let i = 0; i < 500 && code !== "disk_full"; i += 1) {
      const leader = await cluster.leader();
      if (leader !== full) await leader.raft.transferLeader(1).catch(() => {});
      code = await codeOf(full.raft.propose(piece()));
    }
    assert.equal(code, "disk_full");
    assert.notEqual(full.raft.status().role, "leader");
    assert.equal(full.raft.status().diskFull, true);
    assert.equal(await codeOf(full.raft.propose(Buffer.from("x"))), "disk_full");
    const rest = nodes.filter((n) => n !== full);
    await until("another leads", () => rest.some((n) => n.raft.status().role === "leader"));
    const leader = rest.find((n) => n.raft.status().role === "leader")!;
    await leader.raft.propose(Buffer.from("goes on"));

    rmSync(ballast);
    await until("it has everything", () => full.state.at(-1) === "goes on");
    assert.deepEqual(full.state, leader.state);
    await full.stop();
    await full.start();
    await until("it has everything again", () => full.state.length === leader.state.length);
    assert.deepEqual(full.state, leader.state);
  });

  it("a leader whose disk is nearly full hands the lead over", async () => {
    const nodes = [1, 2, 3].map((id) => cluster.node(id));
    const ballast = small(nodes[0]!, 64);
    for (const node of nodes) await node.bind();
    const bootstrap = nodes.map((n) => n.peer);
    await Promise.all(nodes.map((n) => n.start({ bootstrap, minFreeBytes: 32 << 20 })));
    const first = await cluster.leader();
    if (first !== nodes[0]) await first.raft.transferLeader(1);
    writeFileSync(ballast, Buffer.alloc(40 << 20));
    await until("another leads", () => nodes.slice(1).some((n) => n.raft.status().role === "leader"));
    assert.equal(nodes[0]!.raft.status().diskFull, true);
    const next = await cluster.leader();
    await next.raft.propose(Buffer.from("goes on"));
    await until("the follower has it", () => nodes[0]!.state.length === 1);
  });

  it("a single node refuses proposals until there is room", async () => {
    const [node] = [cluster.node(1)];
    const ballast = small(node!, 64);
    await node!.bind();
    await node!.start({ bootstrap: [node!.peer], minFreeBytes: 32 << 20 });
    await node!.raft.propose(Buffer.from("1"));
    writeFileSync(ballast, Buffer.alloc(40 << 20));
    await until("it notices", () => node!.raft.status().diskFull);
    assert.equal(await codeOf(node!.raft.propose(Buffer.from("2"))), "disk_full");
    rmSync(ballast);
    await until("it notices", () => !node!.raft.status().diskFull);
    await node!.raft.propose(Buffer.from("3"));
    assert.deepEqual(node!.state, ["1", "3"]);
  });
});
