import assert from "node:assert/strict";
import { Availability, CauseKind, TaskState, UpdateConfig } from "@creel/shared/gen/cluster/v1/objects.ts";
import { planMoves } from "../../src/scheduler/mod.ts";
import { isWanted } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aNode, aServiceSpec, aTaskSpec, putNode } from "../support/specs.ts";

function start(sim: Sim, max: number): number {
  const moves = planMoves(sim.view, max, sim.now);
  if (moves.length > 0) {
    const rebalance = { moves, startedAt: sim.now };
    sim.apply({ kind: { $case: "setRebalance", value: { rebalance } } });
  }
  return moves.length;
}

/** A cluster of which one node came late. */
function lopsided(parallelism: number, change: Parameters<typeof aTaskSpec>[0] = {}): Sim {
  const sim = new Sim();
  sim.cluster();
  sim.nodes("n1", "n2");
  const update = UpdateConfig.fromPartial({ parallelism });
  sim.service("web", aServiceSpec("web", 9, { update, task: aTaskSpec(change) }));
  sim.run(5_000);
  sim.nodes("n3");
  sim.run(5_000);
  assert.equal(sim.perNode("web").n3, undefined);
  return sim;
}

describe("rebalance", () => {
  it("moves no more than asked, each beside its successor, as many at a time as an update would", () => {
    const sim = lopsided(1);
    let [least, most] = [9, 9];
    sim.onApply = (view) => {
      const live = view.recordsOfService("web").filter(isWanted);
      most = Math.max(most, live.length);
      least = Math.min(least, live.filter((t) => t.state === TaskState.TASK_STATE_RUNNING).length);
    };
    assert.equal(start(sim, 2), 2);
    sim.run(30_000);
    assert.deepEqual(Object.values(sim.perNode("web")).sort(), [2, 3, 4]);
    assert.equal(sim.view.cluster().rebalance, undefined);
    assert.equal(least, 9, "some task was missing while it moved");
    assert.equal(most, 10, "more moved at a time than an update would change");
    assert.equal(start(sim, 100), 1);
    sim.run(30_000);
    assert.deepEqual(sim.perNode("web"), { n1: 3, n2: 3, n3: 3 });
    assert.equal(start(sim, 100), 0, "an even cluster has nothing to move");
    const stopped = sim.view.recordsOfService("web").filter((t) => !isWanted(t));
    assert.deepEqual(
      stopped.map((t) => t.stoppedBy?.kind),
      stopped.map(() => CauseKind.CAUSE_REBALANCE),
    );
  });

  it("goes on under another leader, and stops first where the service asks for it", () => {
    const sim = lopsided(0);
    const spec = sim.view.service("web")!.spec!;
    sim.service("web", { ...spec, labels: { "creel.drain": "stop-first" } });
    let most = 9;
    sim.onApply = (view) => {
      const running = view
        .recordsOfService("web")
        .filter((t) => t.state === TaskState.TASK_STATE_RUNNING || t.state === TaskState.TASK_STATE_STARTING);
      most = Math.max(most, running.length);
    };
    sim.lossRate = 0.5;
    assert.equal(start(sim, 3), 3);
    sim.run(60_000);
    assert.deepEqual(sim.perNode("web"), { n1: 3, n2: 3, n3: 3 });
    assert.equal(most, 9, "a task ran beside its successor");
    assert.equal(sim.view.cluster().rebalance, undefined);
  });

  it("leaves a task where it is whose successor does not come up", () => {
    const sim = lopsided(1);
    const before = sim.live("web").map((t) => t.id);
    sim.broken.set("whoami:1", TaskState.TASK_STATE_RUNNING);
    assert.equal(start(sim, 1), 1);
    sim.run(30_000);
    assert.deepEqual(
      sim
        .live("web")
        .map((t) => t.id)
        .sort(),
      before.sort(),
    );
    assert.equal(sim.view.cluster().rebalance, undefined);
    assert.deepEqual(sim.view.recordsOfService("web").filter(isWanted).length, 9);
  });

  it("evens out zones before nodes, and all tasks where each service is even", () => {
    const sim = new Sim();
    sim.cluster();
    const add = (id: string, zone: string) => {
      const node = aNode(id);
      sim.apply(putNode({ ...node, spec: { ...node.spec!, labels: { zone } } }));
    };
    for (const id of ["n1", "n2", "n3"]) add(id, "a");
    const task = aTaskSpec({ placement: { spread: ["node.labels.zone"] } });
    sim.service("web", aServiceSpec("web", 6, { task }));
    for (const name of ["a", "b", "c", "d"]) sim.service(name, aServiceSpec(name, 1));
    sim.run(5_000);
    add("n4", "b");
    start(sim, 100);
    sim.run(60_000);
    assert.equal(sim.perNode("web").n4, 3);
    const totals = ["n1", "n2", "n3", "n4"].map((id) => sim.view.recordsOnNode(id).filter(isWanted).length);
    assert.ok(Math.max(...totals) - Math.min(...totals) <= 1, `${totals}`);
  });

  it("leaves alone what a node is for: paused nodes, tasks with a volume", () => {
    const sim = lopsided(1);
    sim.availability("n1", Availability.AVAILABILITY_PAUSE);
    const from = planMoves(sim.view, 100, sim.now).map((m) => m.fromNodeId);
    assert.deepEqual([...new Set(from)], ["n2"]);
    const mounts = [{ type: "volume", source: "data", target: "/data" }];
    const kept = lopsided(1, { container: { image: "whoami:1", mounts } });
    assert.deepEqual(planMoves(kept.view, 100, kept.now), []);
  });
});
