import { strict as assert } from "node:assert";
import { codeOf, TestCluster, type TestNode, until } from "./cluster.ts";

const same = (nodes: TestNode[], length: number) =>
  until(`all have ${length} entries`, () => nodes.every((n) => n.state.length === length));

describe("a group of nodes over gRPC", function () {
  this.timeout(90_000);
  let cluster: TestCluster;

  beforeEach(() => {
    cluster = new TestCluster();
  });
  afterEach(() => cluster.end());

  it("replicates in one order, and tells a follower's caller who leads", async () => {
    const nodes = await cluster.bootstrap(3);
    const leader = await cluster.leader();
    await Promise.all(Array.from({ length: 100 }, (_, i) => leader.raft.propose(Buffer.from(`${i}`))));
    await same(nodes, 100);
    for (const node of nodes) assert.deepEqual(node.state, leader.state);
    const follower = nodes.find((n) => n !== leader)!;
    await assert.rejects(follower.raft.propose(Buffer.from("x")), {
      code: "not_leader",
      message: `this manager is not the leader; the leader is ${leader.peer.id}`,
    });
    assert.equal(follower.raft.status().leader, leader.peer.id);
    assert.deepEqual(
      leader.raft.status().progress.map((p) => [p.id, p.active]),
      [1, 2, 3].map((id) => [id, true]),
    );
  });

  it("elects another leader when one is lost, and takes the lost one back", async () => {
    const nodes = await cluster.bootstrap(3);
    const first = await cluster.leader();
    await first.raft.propose(Buffer.from("1"));
    await first.stop();
    const rest = nodes.filter((n) => n !== first);
    const second = await cluster.leader(rest);
    assert.ok(second.raft.status().term > 1);
    await second.raft.propose(Buffer.from("2"));
    await first.start();
    await same(nodes, 2);
    assert.deepEqual(first.state, ["1", "2"]);
  });

  it("acknowledges nothing without a majority, and a leader without one steps down", async () => {
    const nodes = await cluster.bootstrap(3);
    const leader = await cluster.leader();
    await Promise.all(nodes.filter((n) => n !== leader).map((n) => n.stop()));
    assert.equal(await codeOf(leader.raft.propose(Buffer.from("lost"))), "proposal_dropped");
    await until("it steps down", () => leader.raft.status().role !== "leader");
    assert.equal(await codeOf(leader.raft.readIndex()), "no_leader");
    assert.deepEqual(leader.state, []);
  });

  it("brings a node that is far behind up to date by a snapshot", async () => {
    const nodes = await cluster.bootstrap(3, { logTail: 1 });
    const leader = await cluster.leader();
    const behind = nodes.find((n) => n !== leader)!;
    await behind.stop();
    const big = "x".repeat(700_000);
    for (let i = 0; i < 10; i += 1) await leader.raft.propose(Buffer.from(`${i}${big}`));
    await leader.raft.snapshot(leader.applied, leader.bytes());
    await leader.raft.propose(Buffer.from("after"));
    await behind.start({ logTail: 1 });
    await same(nodes, 11);
    assert.deepEqual(behind.state, leader.state);
    assert.ok(behind.log.some((p) => p.kind === "snapshot"));
    assert.equal(behind.raft.status().snapshotIndex, leader.raft.status().snapshotIndex);
    await leader.raft.propose(Buffer.from("more"));
    await same(nodes, 12);
    await behind.stop();
    await behind.start({ logTail: 1 });
    await same(nodes, 12);
  });

  it("takes a node in as a learner, gives it a vote, changes its address and takes it out", async () => {
    const [first] = await cluster.bootstrap(1, { logTail: 1 });
    await cluster.leader();
    for (let i = 0; i < 5; i += 1) await first!.raft.propose(Buffer.from(`${i}`));
    const joiner = cluster.node(2);
    await joiner.bind();
    await joiner.start({ join: [first!.peer] });
    assert.equal(joiner.raft.status().role, "learner");
    await first!.raft.addLearner(joiner.peer);
    await same(cluster.nodes, 5);
    assert.deepEqual(joiner.raft.status().learners, [2]);
    assert.deepEqual(joiner.raft.status().voters, [1]);
    await first!.raft.promote(2);
    await until("it is a follower", () => joiner.raft.status().role === "follower");
    assert.deepEqual(
      joiner.raft.status().peers,
      cluster.nodes.map((n) => n.peer),
    );

    const address = joiner.peer.address.replace("127.0.0.1", "localhost");
    await first!.raft.updatePeer({ id: 2, address });
    await first!.raft.propose(Buffer.from("5"));
    await same(cluster.nodes, 6);
    assert.equal(joiner.raft.status().peers[1]!.address, address);
    assert.deepEqual(joiner.raft.status().voters, [1, 2]);

    await first!.raft.remove(2);
    await first!.raft.propose(Buffer.from("alone"));
    assert.deepEqual(first!.raft.status().voters, [1]);
    assert.equal(await codeOf(first!.raft.remove(1)), "conflict");
    await first!.stop();
    await first!.start();
    await until("it leads", () => first!.raft.status().role === "leader");
    assert.deepEqual(first!.raft.status().peers, [first!.peer]);
  });

  it("does not give a vote to a learner that cannot be reached", async () => {
    const [first] = await cluster.bootstrap(1, { promoteTimeoutMs: 300 });
    await cluster.leader();
    await first!.raft.addLearner({ id: 2, address: "127.0.0.1:1" });
    assert.equal(await codeOf(first!.raft.promote(2)), "timeout");
    await first!.raft.propose(Buffer.from("still working"));
  });

  it("hands the lead over, when asked and before a leader removes itself", async () => {
    const nodes = await cluster.bootstrap(3);
    const leader = await cluster.leader();
    const next = nodes.find((n) => n !== leader)!;
    await leader.raft.transferLeader(next.peer.id);
    assert.equal(await cluster.leader(), next);
    assert.equal(await codeOf(leader.raft.transferLeader(leader.peer.id)), "not_leader");
    assert.equal(await codeOf(next.raft.remove(next.peer.id)), "not_leader");
    const third = await cluster.leader();
    assert.notEqual(third, next);
    await third.raft.remove(next.peer.id);
    assert.deepEqual(
      third.raft.status().voters,
      nodes.filter((n) => n !== next).map((n) => n.peer.id),
    );
  });

  it("answers linearizable reads on a follower", async () => {
    const nodes = await cluster.bootstrap(3);
    const leader = await cluster.leader();
    const follower = nodes.find((n) => n !== leader)!;
    for (let i = 0; i < 20; i += 1) {
      const index = await leader.raft.propose(Buffer.from(`${i}`));
      const read = await follower.raft.readIndex();
      assert.ok(read >= index);
      assert.equal(follower.state.length, i + 1);
    }
    const many = await Promise.all(Array.from({ length: 500 }, () => follower.raft.readIndex()));
    assert.equal(new Set(many).size, 1);
  });

  it("tells of changes of its state until that is no longer wanted", async () => {
    const [node] = await cluster.bootstrap(1);
    await cluster.leader();
    const seen: number[][] = [];
    const end = node!.raft.onStatus((s) => seen.push(s.learners));
    await node!.raft.addLearner({ id: 9, address: "127.0.0.1:1" });
    assert.deepEqual(seen.at(-1), [9]);
    end();
    const count = seen.length;
    await node!.raft.remove(9);
    assert.equal(seen.length, count);
  });
});
