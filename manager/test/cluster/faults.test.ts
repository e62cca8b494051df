import assert from "node:assert/strict";
import { seededRandom } from "@creel/shared";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, type TestNode, until } from "../harness/cluster.ts";
import { replicated } from "../harness/specs.ts";

const ROUNDS = 10;
const REPLICAS = 2;

describe("managers that come and go", function () {
  this.timeout(180_000);

  it("lose nothing that was acknowledged, and end where they should", async () => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = seededRandom(seed);
    const pick = <T>(list: T[]): T => list[Math.floor(random.next() * list.length)]!;
    const cluster = await TestCluster.start(3, { snapshotInterval: 30 });
    const agents: TestAgent[] = [];
    try {
      for (const number of [1, 2, 3]) {
        agents.push(new TestAgent(await cluster.join("worker"), cluster.addrs(), number));
      }
      const acknowledged = new Set<string>();
      const asked = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const away: TestNode = pick(cluster.nodes);
        const stopping = away.stop();
        for (let i = 0; i < 3; i++) {
          const name = `s${round}-${i}`;
          const { manager } = pick(cluster.nodes.filter((node) => node !== away));
          asked.add(name);
          await manager
            .control({ kind: { $case: "createService", value: { spec: replicated(name, REPLICAS) } } })
            .then(
              () => acknowledged.add(name),
              () => {},
            );
        }
        await stopping;
        await away.start();
      }
      const { manager } = await cluster.leader();
      const names = new Set(
        manager
          .view()
          .services()
          .map((service) => service.spec!.name),
      );
      for (const name of acknowledged) assert.ok(names.has(name), `${name} is lost; seed ${seed}`);
      for (const name of names) assert.ok(asked.has(name), `${name} was never asked for; seed ${seed}`);
      assert.ok(acknowledged.size > asked.size / 2, `${acknowledged.size} of ${asked.size}; seed ${seed}`);

      await until(`each service to run as asked; seed ${seed}`, async () => {
        const view = (await cluster.leader()).manager.view();
        return view.services().every((service) => {
          const tasks = view.tasksOfService(service.id).filter((task) => task.desiredState <= 512);
          return (
            tasks.length === REPLICAS &&
            tasks.every((task) => task.status?.state === TaskState.TASK_STATE_RUNNING)
          );
        });
      });
      const tasks = names.size * REPLICAS;
      await until(`the agents to run just that; seed ${seed}`, () => {
        return agents.reduce((sum, agent) => sum + agent.running().length, 0) === tasks;
      });
      for (const node of cluster.nodes) {
        const view = await node.view();
        assert.deepEqual(
          new Set(view.services().map((service) => service.spec!.name)),
          names,
          `seed ${seed}`,
        );
      }
    } finally {
      for (const agent of agents) agent.stop();
      await cluster.stop();
    }
  });
});
