import assert from "node:assert/strict";
import { Availability, type ServiceSpec, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isLive, type TaskRecord } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aServiceSpec, aTaskSpec } from "../support/specs.ts";

const S = TaskState;
const NO_DELAY = { condition: "any", delay: 100, delaySet: true, maxAttempts: 0, window: 0 };

function job(totalCompletions: number, maxConcurrent: number, task = aTaskSpec()): ServiceSpec {
  const mode = { $case: "replicatedJob" as const, value: { totalCompletions, maxConcurrent } };
  return aServiceSpec("job", 0, { mode, task });
}
const globalJob = (task = aTaskSpec()): ServiceSpec =>
  aServiceSpec("job", 0, { mode: { $case: "globalJob", value: {} }, task });

function cluster(): Sim {
  const sim = new Sim();
  sim.nodes("n1", "n2", "n3");
  sim.short.add("whoami:1");
  return sim;
}

function completed(sim: Sim): TaskRecord[] {
  const { iteration } = sim.view.service("job")!.jobStatus!;
  return sim.view
    .recordsOfService("job")
    .filter((t) => t.state === S.TASK_STATE_COMPLETE && t.group.jobIteration === iteration);
}

describe("jobs", () => {
  it("complete as often as asked, no more at a time than allowed, and keep what completed", () => {
    const sim = cluster();
    let most = 0;
    sim.onApply = (view) => {
      most = Math.max(most, view.recordsOfService("job").filter(isLive).length);
    };
    sim.service("job", job(12, 3));
    sim.run(60_000);
    assert.equal(most, 3);
    assert.deepEqual(
      completed(sim)
        .map((t) => t.slot)
        .sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, slot) => slot),
    );
    assert.equal(sim.view.recordsOfService("job").length, 12);
    const { index } = sim.view;
    sim.run(600_000, 60_000);
    assert.equal(sim.view.index, index);
    assert.deepEqual(sim.refusals, []);
  });

  it("run again for a changed task, and not for a label or further completions", () => {
    const sim = cluster();
    sim.service("job", job(3, 3));
    sim.run(20_000);
    const first = completed(sim).map((t) => t.id);
    sim.service("job", { ...job(3, 3), labels: { a: "b" } });
    sim.run(20_000);
    assert.deepEqual(
      completed(sim).map((t) => t.id),
      first,
    );
    sim.service("job", job(5, 3));
    sim.run(20_000);
    assert.equal(completed(sim).length, 5);
    assert.equal(sim.view.service("job")!.jobStatus!.iteration, 1);
    sim.service("job", job(5, 3, aTaskSpec({ forceUpdate: 1 })));
    sim.run(20_000);
    assert.equal(sim.view.service("job")!.jobStatus!.iteration, 2);
    assert.equal(completed(sim).length, 5);
    assert.ok(completed(sim).every((t) => !first.includes(t.id)));
  });

  it("stop what the iteration before left running", () => {
    const sim = cluster();
    sim.service("job", job(2, 2, aTaskSpec({ container: { image: "long:1" } })));
    sim.run(10_000);
    assert.equal(sim.live("job").length, 2);
    sim.service("job", job(2, 2));
    sim.run(20_000);
    assert.equal(completed(sim).length, 2);
    assert.equal(sim.live("job").length, 0);
  });

  it("follow a failed task by one other, and complete each slot once", () => {
    for (const spec of [job(3, 3), globalJob()]) {
      const sim = cluster();
      sim.broken.set("whoami:1", S.TASK_STATE_RUNNING);
      const { task, ...rest } = spec;
      sim.service("job", { ...rest, task: { ...task!, restart: { ...NO_DELAY } } });
      sim.run(3_000);
      sim.broken.clear();
      sim.run(30_000);
      const slots = completed(sim).map((t) => t.slot || t.nodeId);
      assert.deepEqual(slots.length, 3, String(slots));
      assert.equal(new Set(slots).size, 3);
    }
  });

  it("follow failed tasks as often as the policy says, and no further", () => {
    const sim = cluster();
    sim.broken.set("bad:1", S.TASK_STATE_RUNNING);
    const restart = { condition: "on-failure", maxAttempts: 2, delaySet: true };
    sim.service("job", job(1, 1, aTaskSpec({ container: { image: "bad:1" }, restart })));
    sim.run(300_000);
    assert.equal(sim.view.recordsOfService("job").filter((t) => t.state === S.TASK_STATE_FAILED).length, 3);
    const none = aTaskSpec({ container: { image: "bad:1" }, restart: { condition: "none" } });
    sim.service("job", job(1, 1, none));
    sim.run(300_000);
    const { specVersion } = sim.view.service("job")!;
    const tasks = sim.view.recordsOfService("job").filter((t) => t.specVersion === specVersion);
    assert.deepEqual(
      tasks.map((t) => t.state),
      [S.TASK_STATE_FAILED],
    );
  });

  it("try what fails at once no faster than the policy lets them, one task a slot", () => {
    const sim = cluster();
    sim.broken.set("absent:1", S.TASK_STATE_PREPARING);
    let made = 0;
    sim.onApply = (view, changed) => {
      for (const { before, after } of changed.tasks.values()) if (!before && after) made++;
      const live = view.recordsOfService("job").filter(isLive);
      assert.equal(new Set(live.map((t) => t.slot)).size, live.length);
    };
    const task = aTaskSpec({ container: { image: "absent:1" }, restart: { delaySet: true } });
    sim.service("job", job(3, 3, task));
    sim.run(600_000);
    assert.ok(made > 15 && made < 150, `${made} tasks`);
  });

  it("go on elsewhere when a node is lost or drained", () => {
    const sim = cluster();
    sim.service("job", job(3, 3, aTaskSpec({ container: { image: "long:1" } })));
    sim.run(10_000);
    sim.kill("n1");
    sim.availability("n2", Availability.AVAILABILITY_DRAIN);
    sim.run(20_000);
    assert.deepEqual(sim.perNode("job"), { n3: 3 });
    sim.short.add("long:1");
    sim.run(20_000);
    assert.equal(completed(sim).length, 3);
  });

  it("run once on each node, also on one that joins later", () => {
    const sim = cluster();
    sim.service("job", globalJob());
    sim.run(20_000);
    assert.deepEqual(
      completed(sim)
        .map((t) => t.nodeId)
        .sort(),
      ["n1", "n2", "n3"],
    );
    sim.nodes("n4");
    sim.run(20_000);
    assert.deepEqual(
      completed(sim)
        .map((t) => t.nodeId)
        .sort(),
      ["n1", "n2", "n3", "n4"],
    );
    const { index } = sim.view;
    sim.run(60_000, 10_000);
    assert.equal(sim.view.index, index);
  });
});
