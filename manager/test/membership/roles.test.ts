import assert from "node:assert/strict";
import { join } from "node:path";
import { isCreelError } from "@creel/shared";
import { NodeRole, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { renewIdentity } from "../../src/mod.ts";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, TestNode, until } from "../harness/cluster.ts";

const { NODE_ROLE_MANAGER: MANAGER, NODE_ROLE_WORKER: WORKER } = NodeRole;

describe("membership", function () {
  this.timeout(90_000);
  let cluster: TestCluster;
  const agents: TestAgent[] = [];

  before(async () => {
    cluster = await TestCluster.start(3);
  });
  after(async () => {
    for (const agent of agents) agent.stop();
    await cluster?.stop();
  });

  const setRole = async (id: string, role: NodeRole) => {
    const { manager } = await cluster.leader();
    const node = manager.view().node(id)!;
    const value = { id, version: node.meta!.version, spec: { ...node.spec!, role } };
    await manager.control({ kind: { $case: "updateNode", value } });
  };
  const voters = async () => {
    const { manager } = await cluster.leader();
    return manager
      .view()
      .nodes()
      .filter((node) => node.manager).length;
  };

  it("a promoted worker gets a manager's certificate and joins the group", async () => {
    const agent = new TestAgent(await cluster.join("worker"), cluster.addrs(), 1);
    agents.push(agent);
    await until("the agent's tasks", () => agent.batches.length > 0);
    await setRole(agent.id, MANAGER);
    await until("the word that it is a manager now", () => agent.role === MANAGER);
    const identity = await renewIdentity(agent.live, cluster.addrs());
    assert.equal(identity.role, MANAGER);
    assert.equal(identity.nodeId, agent.id);
    const node = new TestNode(identity, join(cluster.dir, "promoted"));
    await node.start({ join: cluster.addrs() });
    cluster.nodes.push(node);
    assert.equal(await voters(), 4);
  });

  it("a demoted manager leaves the group and becomes a worker", async () => {
    const node = cluster.nodes.pop()!;
    const agent = agents[0]!;
    await setRole(node.id, WORKER);
    assert.equal(await node.manager.closed, undefined);
    await node.stop();
    await until("the word that it is a worker now", () => agent.role === WORKER);
    assert.equal((await renewIdentity(node.live, cluster.addrs())).role, WORKER);
    assert.equal(await voters(), 3);
  });

  it("the leader may be demoted: it hands the lead over first", async () => {
    const old = await cluster.leader();
    await setRole(old.id, WORKER);
    assert.equal(await old.manager.closed, undefined);
    await old.stop();
    cluster.nodes.splice(cluster.nodes.indexOf(old), 1);
    const next = await cluster.leader();
    assert.notEqual(next.id, old.id);
    assert.equal(await voters(), 2);
    const { manager } = next;
    await until("its place to be gone", () => manager.view().node(old.id)?.manager === undefined);
    await manager.control({ kind: { $case: "removeNode", value: { id: old.id, force: false } } });
    assert.equal(manager.view().node(old.id), undefined);
  });

  it("a manager cannot be removed, nor a node that answers, nor the last manager demoted", async () => {
    const [follower] = cluster.followers();
    const { manager } = await cluster.leader();
    const refused = async (id: string, code: "node_is_manager" | "node_not_down", force: boolean) =>
      await assert.rejects(
        manager.control({ kind: { $case: "removeNode", value: { id, force } } }),
        (error) => isCreelError(error, code),
      );
    await refused(follower!.id, "node_is_manager", true);
    await refused(agents[0]!.id, "node_not_down", false);
  });

  it("a manager that comes back at another address is found there", async () => {
    for (const node of [...cluster.followers(), await cluster.leader()]) {
      await node.stop();
      node.port = 0;
      await node.start();
      const { manager } = await cluster.leader();
      await until("the new address", () => manager.view().node(node.id)?.manager?.addr === node.addr);
      await Promise.all(cluster.nodes.map((other) => other.view()));
    }
    assert.deepEqual(
      cluster.nodes[0]!.manager.managers()
        .map((manager) => manager.addr)
        .sort(),
      cluster.addrs().sort(),
    );
  });

  it("a manager that leaves, even the leader, is no longer counted on", async () => {
    const old = await cluster.leader();
    await old.manager.leave();
    await old.stop();
    cluster.nodes.splice(cluster.nodes.indexOf(old), 1);
    const { manager } = await cluster.leader();
    assert.equal(manager.view().node(old.id)?.spec?.role, WORKER);
    assert.equal(await voters(), 1);
    await assert.rejects(setRole(cluster.nodes[0]!.id, WORKER), (error) =>
      isCreelError(error, "demote_last_manager"),
    );
  });

  it("a worker that says goodbye is down at once, and can be removed", async () => {
    const { manager } = await cluster.leader();
    const agent = agents[0]!;
    agent.goodbye();
    await until(
      "it to be down",
      () => manager.view().node(agent.id)?.status?.state === NodeState.NODE_STATE_DOWN,
    );
    agent.stop();
    await manager.control({ kind: { $case: "removeNode", value: { id: agent.id, force: false } } });
    await assert.rejects(renewIdentity(agent.live, cluster.addrs()), (error) =>
      isCreelError(error, "node_removed"),
    );
  });
});
