import assert from "node:assert/strict";
import { Availability, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aNetwork, aPort, aServiceSpec, aTaskSpec, putNetwork } from "../support/specs.ts";

const S = TaskState;

function threeNodes(): Sim {
  const sim = new Sim();
  sim.apply(putNetwork(aNetwork("ingress", "ingress", true)));
  sim.nodes("n1", "n2", "n3");
  return sim;
}

const published = { endpoint: { mode: "vip", ports: [aPort(8080, 8080)] } };

describe("all loops together", () => {
  it("bring up three replicas, one on each node, with VIP and addresses", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3, published));
    sim.run(10_000);
    assert.deepEqual(sim.perNode("web"), { n1: 1, n2: 1, n3: 1 });
    const network = sim.view.network("ingress")!;
    assert.deepEqual([network.vni, network.subnet, network.gateway], [4096, "10.0.0.0/24", "10.0.0.1"]);
    const service = sim.view.service("web")!;
    assert.equal(service.ports[0]!.publishedPort, 8080);
    const addresses = [
      network.gateway,
      ...sim.view.nodes().map((n) => n.addresses.ingress),
      ...service.virtualIps.map((v) => v.address),
      ...sim.view.tasksOfService("web").flatMap((t) => t.attachments.map((a) => a.address)),
    ];
    assert.equal(addresses.length, 8);
    assert.equal(new Set(addresses).size, 8);
    assert.deepEqual(sim.refusals, []);
  });

  it("scale to six evenly, and down again", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3, published));
    sim.run(10_000);
    const before = sim.live("web").map((t) => t.id);
    sim.service("web", aServiceSpec("web", 6, published));
    sim.run(10_000);
    assert.deepEqual(sim.perNode("web"), { n1: 2, n2: 2, n3: 2 });
    for (const id of before) assert.equal(sim.view.record(id)?.state, S.TASK_STATE_RUNNING);
    sim.service("web", aServiceSpec("web", 2, published));
    sim.run(10_000);
    assert.equal(sim.live("web").length, 2);
    assert.equal(sim.view.recordsOfService("web").length, 2);
    assert.equal(sim.view.service("web")!.updateStatus, undefined);
  });

  it("try a task whose image is missing no faster than the restart policy lets them", () => {
    const sim = threeNodes();
    const spec = aServiceSpec("web", 1);
    sim.broken.set(spec.task!.container!.image, S.TASK_STATE_PREPARING);
    let made = 0;
    sim.onApply = (_, changed) => {
      for (const { before } of changed.tasks.values()) if (before === undefined) made++;
    };
    sim.service("web", spec);
    sim.run(60_000);
    assert.ok(made >= 3 && made <= 7, `${made} tasks in a minute`);
  });

  it("replace the tasks of a lost node, and stop the old ones when it comes back", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 6, published));
    sim.run(10_000);
    sim.kill("n2");
    sim.run(10_000);
    assert.deepEqual(sim.perNode("web"), { n1: 3, n3: 3 });
    sim.revive("n2");
    sim.run(10_000);
    assert.equal(sim.live("web").length, 6);
    for (const task of sim.view.recordsOnNode("n2")) assert.ok(isFinished(task), task.id);
  });

  it("empty a drained node without a moment with fewer replicas", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3, published));
    sim.run(10_000);
    let least = 3;
    sim.onApply = () => {
      least = Math.min(least, sim.live("web").length);
    };
    sim.availability("n1", Availability.AVAILABILITY_DRAIN);
    sim.run(20_000);
    assert.equal(least, 3);
    assert.equal(sim.perNode("web").n1, undefined);
    assert.equal(sim.live("web").length, 3);
  });

  it("restart a failing task with growing delays, and keep a bounded history", () => {
    const sim = threeNodes();
    sim.broken.set("bad", S.TASK_STATE_RUNNING);
    sim.service("web", aServiceSpec("web", 1, { task: aTaskSpec({ container: { image: "bad" } }) }));
    sim.run(600_000);
    const tasks = sim.view.recordsOfService("web");
    assert.ok(tasks.length >= 6 && tasks.length <= 7, `${tasks.length} tasks`);
    const starts = tasks.map((t) => t.createdAt).sort((a, b) => a - b);
    assert.ok(starts.at(-1)! - starts.at(-2)! >= 60_000);
  });

  it("restart it no faster where no history is kept at all", () => {
    const made = (limit: number) => {
      const sim = threeNodes();
      sim.cluster(limit);
      sim.broken.set("bad", S.TASK_STATE_RUNNING);
      const ids = new Set<string>();
      sim.onApply = (view) => {
        for (const { id } of view.recordsOfService("web")) ids.add(id);
      };
      sim.service("web", aServiceSpec("web", 1, { task: aTaskSpec({ container: { image: "bad" } }) }));
      sim.run(600_000);
      return { tasks: ids.size, kept: sim.view.recordsOfService("web").length };
    };
    const [none, five] = [made(0), made(5)];
    assert.equal(none.tasks, five.tasks);
    assert.ok(none.tasks > 5 && none.tasks < 20, `${none.tasks} tasks in ten minutes`);
    assert.deepEqual([none.kept <= 2, five.kept > 4], [true, true]);
  });

  it("leave a task alone whose policy is not to restart it", () => {
    for (const restart of [
      { condition: "none" },
      { condition: "on-failure", maxAttempts: 2, delay: 1_000 },
    ]) {
      const sim = threeNodes();
      sim.broken.set("bad", S.TASK_STATE_RUNNING);
      sim.service(
        "web",
        aServiceSpec("web", 1, { task: aTaskSpec({ container: { image: "bad" }, restart }) }),
      );
      sim.run(300_000);
      assert.equal(sim.view.recordsOfService("web").length, restart.condition === "none" ? 1 : 3);
      assert.equal(sim.live("web").length, 0);
    }
  });

  it("remove a service's tasks when they have stopped", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3));
    sim.run(10_000);
    sim.apply({ kind: { $case: "removeService", value: "web" } });
    sim.run(5_000);
    assert.equal(sim.view.counts().tasks, 0);
  });

  it("run a global service on every node that fits, and on new ones", () => {
    const sim = threeNodes();
    const task = aTaskSpec({ placement: { constraints: ["node.hostname!=host-n3"] } });
    sim.service("agent", aServiceSpec("agent", 0, { task, mode: { $case: "global", value: {} } }));
    sim.run(10_000);
    assert.deepEqual(sim.perNode("agent"), { n1: 1, n2: 1 });
    sim.nodes("n4");
    sim.availability("n1", Availability.AVAILABILITY_DRAIN);
    sim.run(10_000);
    assert.deepEqual(sim.perNode("agent"), { n2: 1, n4: 1 });
    sim.availability("n1", Availability.AVAILABILITY_ACTIVE);
    sim.run(10_000);
    assert.deepEqual(sim.perNode("agent"), { n1: 1, n2: 1, n4: 1 });
  });

  it("orphan the tasks of a removed node, and replace them", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3));
    sim.run(10_000);
    sim.kill("n1");
    sim.apply({ kind: { $case: "removeNode", value: "n1" } });
    sim.run(10_000);
    assert.equal(sim.live("web").length, 3);
    for (const task of sim.view.recordsOnNode("n1")) assert.equal(task.state, S.TASK_STATE_ORPHANED);
  });

  it("do nothing when nothing changes", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3, published));
    sim.run(60_000);
    const index = sim.view.index;
    sim.run(3_600_000, 60_000);
    assert.equal(sim.view.index, index);
  });

  it("count further attempts than their history holds", () => {
    const sim = threeNodes();
    const restart = { condition: "any", maxAttempts: 130, delaySet: true };
    const spec = aServiceSpec("web", 1, { task: aTaskSpec({ restart }) });
    sim.broken.set(spec.task!.container!.image, S.TASK_STATE_RUNNING);
    let made = 0;
    sim.onApply = (_, changed) => {
      for (const { before, after } of changed.tasks.values()) if (!before && after) made++;
    };
    sim.service("web", spec);
    sim.run(10 * 3_600_000, 30_000);
    assert.equal(made, 131);
    assert.ok(sim.view.recordsOfService("web").length <= 101);
  });
});
