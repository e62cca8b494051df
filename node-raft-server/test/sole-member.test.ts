import { strict as assert } from "node:assert";
import { readdirSync } from "node:fs";
import { TestCluster, until } from "./cluster.ts";

describe("the last one of a group", function () {
  this.timeout(60_000);
  let cluster: TestCluster;

  beforeEach(() => {
    cluster = new TestCluster();
  });
  afterEach(() => cluster.end());

  it("becomes the whole group with all it has, and takes others in again", async () => {
    const nodes = await cluster.bootstrap(3, { logTail: 1 });
    const leader = await cluster.leader();
    for (const text of ["1", "2", "3"]) await leader.raft.propose(Buffer.from(text));
    await leader.raft.snapshot(leader.applied, leader.bytes());
    await leader.raft.propose(Buffer.from("4"));
    const last = nodes.find((node) => node !== leader)!;
    await until("it has all", () => last.state.length === 4);
    await Promise.all(nodes.map((node) => node.stop()));

    await last.start({ soleAddress: last.peer.address });
    await until("it leads", () => last.raft.status().role === "leader");
    assert.deepEqual(last.raft.status().voters, [last.peer.id]);
    assert.deepEqual(last.raft.status().peers, [last.peer]);
    await last.raft.propose(Buffer.from("5"));
    assert.deepEqual(last.state, ["1", "2", "3", "4", "5"]);

    // one of the others comes back with the old log: nobody listens to it
    await leader.start();
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(last.raft.status().role, "leader");
    await last.raft.propose(Buffer.from("6"));
    await leader.stop();

    await last.stop();
    await last.start();
    await until("it leads again", () => last.raft.status().role === "leader");
    const fresh = cluster.node(9);
    await fresh.bind();
    await fresh.start({ join: [last.peer] });
    await last.raft.addLearner(fresh.peer);
    await last.raft.promote(9);
    await until("the new one has all", () => fresh.state.length === 6);
  });

  it("keeps as many old snapshots as it is told", async () => {
    const [node] = await cluster.bootstrap(1, { logTail: 1 });
    await cluster.leader();
    const files = () => readdirSync(node!.dir).filter((name) => name.endsWith(".snapshot")).length;
    const snapshot = async (keep: number) => {
      await node!.raft.propose(Buffer.from("x"));
      await node!.raft.snapshot(node!.applied, node!.bytes(), keep);
    };
    for (let i = 0; i < 4; i += 1) await snapshot(2);
    assert.equal(files(), 3);
    await node!.stop();
    await node!.start({ logTail: 1 });
    await until("it leads again", () => node!.raft.status().role === "leader");
    assert.equal(files(), 3);
    await snapshot(0);
    assert.equal(files(), 1);
  });
});
