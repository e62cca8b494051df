import assert from "node:assert/strict";
import { isCreelError } from "@creel/shared";
import { NodeState, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, until } from "../harness/cluster.ts";
import { replicated } from "../harness/specs.ts";

describe("three managers", function () {
  this.timeout(90_000);
  let cluster: TestCluster;
  const agents: TestAgent[] = [];

  before(async () => {
    cluster = await TestCluster.start(3);
    for (const node of cluster.nodes) {
      agents.push(new TestAgent(node.live.current(), cluster.addrs(), agents.length + 1));
    }
  });
  after(async () => {
    for (const agent of agents) agent.stop();
    await cluster?.stop();
  });

  const running = async (serviceId: string, count: number) => {
    const leader = await cluster.leader();
    return await until(`${count} running tasks`, () => {
      const tasks = leader.manager
        .view()
        .tasksOfService(serviceId)
        .filter((task) => task.desiredState === TaskState.TASK_STATE_RUNNING);
      const up = tasks.filter((task) => task.status?.state === TaskState.TASK_STATE_RUNNING);
      return tasks.length === count && up.length === count && up;
    });
  };

  it("all have a vote, and one of them leads", async () => {
    const leader = await cluster.leader();
    for (const node of cluster.nodes) {
      assert.equal((await node.view()).nodes().length, 3);
      assert.deepEqual(
        node.manager.managers().map((manager) => manager.addr),
        [leader.addr, ...cluster.addrs().filter((addr) => addr !== leader.addr)],
      );
      assert.equal(node.manager.managerStatus(leader.id)?.leader, true);
    }
  });

  it("a follower carries out what its user asks, and sees it at once", async () => {
    const [follower] = cluster.followers();
    const spec = replicated("web", 6, [18_081, 80]);
    const { id } = await follower!.manager.control({ kind: { $case: "createService", value: { spec } } });
    assert.equal(follower!.manager.view().service(id)?.spec?.name, "web");
    await assert.rejects(
      follower!.manager.control({ kind: { $case: "createService", value: { spec } } }),
      (error) => isCreelError(error, "service_name_taken"),
    );
    const tasks = await running(id, 6);
    assert.deepEqual(new Set(tasks.map((task) => task.nodeId)).size, 3);
  });

  it("go on when their leader is gone, without touching what runs", async () => {
    const old = await cluster.leader();
    const service = old.manager.view().serviceByName("web")!;
    const before = new Set((await running(service.id, 6)).map((task) => task.id));
    await old.stop();
    const next = await cluster.leader();
    assert.notEqual(next, old);
    await until("the agents to come over", () => {
      const nodes = next.manager.view().nodes();
      return agents.every((agent) => agent.batches.length > 0) && nodes.length === 3;
    });
    const after = await running(service.id, 6);
    assert.deepEqual(new Set(after.map((task) => task.id)), before);

    const known = next.manager.view().service(service.id)!;
    const spec = { ...known.spec!, mode: { $case: "replicated" as const, value: { replicas: 8 } } };
    await next.manager.control({
      kind: {
        $case: "updateService",
        value: { id: known.id, version: known.meta!.version, spec, rollback: false },
      },
    });
    await running(service.id, 8);

    await old.start();
    const view = await old.view();
    assert.equal(
      view.tasksOfService(service.id).length,
      next.manager.view().tasksOfService(service.id).length,
    );
  });

  it("replace the tasks of a node that falls silent", async () => {
    const leader = await cluster.leader();
    const service = leader.manager.view().serviceByName("web")!;
    const lost = agents.pop()!;
    lost.stop();
    await until("the node to be down", () => {
      return leader.manager.view().node(lost.id)?.status?.state === NodeState.NODE_STATE_DOWN;
    });
    assert.equal(
      leader.manager.view().node(lost.id)?.status?.message,
      "heartbeat failure: missed 3 heartbeats",
    );
    await until("eight tasks elsewhere", () => {
      const up = leader.manager
        .view()
        .tasksOfService(service.id)
        .filter((task) => task.desiredState === 512 && task.status?.state === 512 && task.nodeId !== lost.id);
      return up.length === 8;
    });
    const ingress = leader.manager.view().ingressNetwork()!;
    await until("eight backends everywhere, none on the lost node", () =>
      agents.every((agent) => {
        const backends = agent.told.get(ingress.id)?.balancers.get(service.id)?.backends ?? [];
        const dead = leader.manager
          .view()
          .tasksOnNode(lost.id)
          .flatMap((task) => task.attachments.map((at) => at.address));
        return backends.length === 8 && backends.every((backend) => !dead.includes(backend.address));
      }),
    );
  });

  it("take a removed service away everywhere", async () => {
    const [follower] = cluster.followers();
    const service = follower!.manager.view().serviceByName("web")!;
    await follower!.manager.control({ kind: { $case: "removeService", value: service.id } });
    const ingress = follower!.manager.view().ingressNetwork()!;
    await until("no task and no balancer of it", () =>
      agents.every(
        (agent) => agent.running().length === 0 && !agent.told.get(ingress.id)?.balancers.has(service.id),
      ),
    );
  });
});
