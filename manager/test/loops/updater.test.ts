import assert from "node:assert/strict";
import { TaskState, type UpdateConfig } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aServiceSpec, aTaskSpec } from "../support/specs.ts";

const S = TaskState;

function config(change: Partial<UpdateConfig> = {}): UpdateConfig {
  return {
    parallelism: 1,
    delay: 0,
    failureAction: "pause",
    monitor: 5_000,
    maxFailureRatio: 0,
    order: "stop-first",
    ...change,
  };
}

function running(update: UpdateConfig, replicas = 3): Sim {
  const sim = new Sim();
  sim.nodes("n1", "n2", "n3");
  sim.service("web", spec("v1", update, replicas));
  sim.run(10_000);
  assert.equal(sim.live("web").length, replicas);
  return sim;
}

function spec(image: string, update: UpdateConfig, replicas = 3) {
  return aServiceSpec("web", replicas, {
    task: aTaskSpec({ container: { image } }),
    update,
    rollback: config(),
  });
}

function images(sim: Sim): string[] {
  return sim
    .live("web")
    .map((t) => t.spec.container!.image)
    .sort();
}

describe("updater", () => {
  it("replaces one task after the other, and keeps the spread", () => {
    const sim = running(config());
    let stopping = 0;
    sim.onApply = (view) => {
      const away = view.recordsOfService("web").filter((t) => t.state === S.TASK_STATE_RUNNING).length;
      stopping = Math.max(stopping, 3 - away);
    };
    sim.service("web", spec("v2", config()));
    sim.run(60_000);
    assert.deepEqual(images(sim), ["v2", "v2", "v2"]);
    assert.deepEqual(sim.perNode("web"), { n1: 1, n2: 1, n3: 1 });
    assert.equal(stopping, 1);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
    assert.deepEqual(sim.refusals, []);
  });

  it("starts the new task first when it is told to", () => {
    const update = config({ order: "start-first", parallelism: 2 });
    const sim = running(update);
    let least = 3;
    sim.onApply = () => {
      least = Math.min(least, sim.live("web").length);
    };
    sim.service("web", spec("v2", update));
    sim.run(60_000);
    assert.equal(least, 3);
    assert.deepEqual(images(sim), ["v2", "v2", "v2"]);
  });

  it("waits for the delay between slots", () => {
    const update = config({ delay: 30_000 });
    const sim = running(update);
    sim.service("web", spec("v2", update));
    sim.run(45_000);
    assert.deepEqual(images(sim), ["v1", "v2", "v2"]);
    sim.run(60_000);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
  });

  it("pauses at the first failure, the others untouched", () => {
    const sim = running(config());
    sim.broken.set("bad", S.TASK_STATE_RUNNING);
    sim.service("web", spec("bad", config()));
    sim.run(120_000);
    const status = sim.view.service("web")!.updateStatus!;
    assert.equal(status.state, "paused");
    assert.match(status.message, /^update paused due to failure or early termination of task /);
    assert.deepEqual(images(sim), ["v1", "v1"]);
  });

  it("never stops a task for an image that cannot be had", () => {
    const update = config({ failureAction: "continue" });
    const sim = running(update);
    sim.broken.set("missing", S.TASK_STATE_PREPARING);
    sim.service("web", spec("missing", update));
    sim.run(120_000);
    assert.deepEqual(images(sim), ["v1", "v1", "v1"]);
  });

  it("goes on over failures when it is told to", () => {
    const update = config({ failureAction: "continue", parallelism: 0 });
    const sim = running(update);
    sim.broken.set("bad", S.TASK_STATE_RUNNING);
    sim.service("web", spec("bad", update));
    sim.run(120_000);
    assert.deepEqual(images(sim), []);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
  });

  it("rolls back after a failure", () => {
    const update = config({ failureAction: "rollback" });
    const sim = running(update);
    sim.broken.set("bad", S.TASK_STATE_RUNNING);
    sim.service("web", spec("bad", update));
    sim.run(120_000);
    assert.deepEqual(images(sim), ["v1", "v1", "v1"]);
    const service = sim.view.service("web")!;
    assert.equal(service.updateStatus?.state, "rollback_completed");
    assert.equal(service.spec!.task!.container!.image, "v1");
  });

  it("takes the old task's place where there is no other", () => {
    const sim = new Sim();
    sim.nodes("n1");
    const tight = (image: string) =>
      aServiceSpec("web", 1, {
        task: aTaskSpec({ container: { image }, reservations: { memoryBytes: 6 * 2 ** 30 } }),
        update: config(),
      });
    sim.service("web", tight("v1"));
    sim.run(10_000);
    sim.service("web", tight("v2"));
    sim.run(30_000);
    assert.deepEqual(images(sim), ["v2"]);
    assert.ok(sim.view.recordsOfService("web").filter((t) => !isFinished(t)).length === 1);
  });

  it("changes many at once, and a second update on the way", () => {
    const update = config({ parallelism: 4, order: "stop-first" });
    const sim = running(update, 12);
    sim.service("web", spec("v2", update, 12));
    sim.run(4_000);
    sim.service("web", spec("v3", update, 12));
    sim.run(120_000);
    assert.deepEqual(new Set(images(sim)), new Set(["v3"]));
    assert.equal(sim.live("web").length, 12);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
  });
});
