import assert from "node:assert/strict";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, until } from "../harness/cluster.ts";
import { replicated } from "../harness/specs.ts";

describe("one manager", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  const agents: TestAgent[] = [];

  before(async () => {
    cluster = await TestCluster.start(1);
  });
  after(async () => {
    for (const agent of agents) agent.stop();
    await cluster?.stop();
  });

  it("makes a service's tasks, assigns them, and tells all nodes where they are", async () => {
    const first = cluster.nodes[0]!;
    agents.push(new TestAgent(first.live.current(), cluster.addrs(), 1));
    agents.push(new TestAgent(await cluster.join("worker"), cluster.addrs(), 2));
    const manager = first.manager;
    const { id } = await manager.control({
      kind: { $case: "createService", value: { spec: replicated("web", 3, [18_080, 80]) } },
    });
    await until("three running tasks", () => {
      const running = manager
        .view()
        .tasksOfService(id)
        .filter((task) => task.status?.state === 512);
      return running.length === 3;
    });
    const ingress = manager.view().ingressNetwork()!;
    await until("three backends on every node", () =>
      agents.every((agent) => agent.told.get(ingress.id)?.balancers.get(id)?.backends.length === 3),
    );
    const balancer = agents[0]!.told.get(ingress.id)!.balancers.get(id)!;
    assert.deepEqual(balancer.ports, [{ publishedPort: 18_080, targetPort: 80, protocol: "tcp" }]);
    const here = agents[0]!.running().length;
    const peers = [...agents[0]!.told.get(ingress.id)!.peers.values()];
    assert.equal(peers.filter((peer) => !peer.node).length, 3 - here);
    assert.equal(peers.filter((peer) => peer.node).length, 1);
    assert.equal(peers[0]!.vtep, "192.0.2.2");
  });
});
