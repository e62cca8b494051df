import assert from "node:assert/strict";
import { TaskState, type UpdateConfig } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aNetwork, aPort, aServiceSpec, aTaskSpec, putNetwork } from "../support/specs.ts";

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

  it("replaces nothing for labels, settings or a placement that the nodes still meet", () => {
    const sim = running(config());
    const before = sim.live("web").map((t) => t.id);
    const changed = spec("v1", config({ parallelism: 7 }));
    changed.labels = { team: "a" };
    changed.task = {
      ...changed.task!,
      placement: { constraints: ["node.role==worker"], spread: [], maxReplicas: 0, platforms: [] },
    };
    sim.service("web", changed);
    sim.run(30_000);
    assert.deepEqual(
      sim.live("web").map((t) => t.id),
      before,
    );
    const { specVersion, updateStatus } = sim.view.service("web")!;
    assert.ok(sim.live("web").every((t) => t.specVersion === specVersion));
    assert.equal(updateStatus, undefined);
  });

  it("moves only the tasks whose node is no longer meant", () => {
    const sim = running(config());
    const kept = sim.live("web").filter((t) => t.nodeId !== "n3");
    const changed = spec("v1", config());
    changed.task = {
      ...changed.task!,
      placement: { constraints: ["node.id!=n3"], spread: [], maxReplicas: 0, platforms: [] },
    };
    sim.service("web", changed);
    sim.run(30_000);
    const live = sim.live("web");
    assert.equal(live.length, 3);
    assert.ok(live.every((t) => t.nodeId !== "n3"));
    for (const { id } of kept) assert.ok(live.some((t) => t.id === id));
  });

  it("gives a task without a place the new placement, without another task", () => {
    const sim = new Sim();
    sim.nodes("n1");
    const placed = (constraint: string) =>
      aServiceSpec("web", 1, { task: aTaskSpec({ placement: { constraints: [constraint] } }) });
    sim.service("web", placed("node.id==n9"));
    sim.run(5_000);
    const [pending] = sim.view.recordsOfService("web");
    assert.match(pending!.err, /no suitable node/);
    sim.service("web", placed("node.id==n1"));
    sim.run(5_000);
    assert.deepEqual(
      sim.live("web").map((t) => t.id),
      [pending!.id],
    );
  });

  it("keeps at a rollback what the update had not reached", () => {
    const update = config({ delay: 60_000 });
    const sim = running(update);
    const before = new Set(sim.live("web").map((t) => t.id));
    sim.service("web", spec("v2", update));
    sim.run(20_000);
    assert.deepEqual(images(sim), ["v1", "v1", "v2"]);
    sim.service("web", spec("v1", update));
    sim.run(90_000);
    assert.deepEqual(images(sim), ["v1", "v1", "v1"]);
    assert.equal(sim.live("web").filter((t) => before.has(t.id)).length, 2);
  });

  it("starts a new task first when it was told so while that already waited for the old one", () => {
    const sim = running(config());
    sim.service("web", spec("v2", config()));
    sim.run(1_000);
    assert.equal(sim.view.recordsWaiting().length, 1, "one waits for the old one's end");
    sim.service("web", spec("v2", config({ order: "start-first" })));
    sim.run(60_000);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
    assert.deepEqual(images(sim), ["v2", "v2", "v2"]);
  });

  it("leaves nothing waiting when a rollback goes back to what is there", () => {
    const update = config({ failureAction: "rollback" });
    const sim = running(update);
    const before = sim.live("web").map((t) => t.id);
    sim.broken.set("v2", S.TASK_STATE_PREPARING);
    sim.service("web", spec("v2", update));
    sim.run(60_000);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "rollback_completed");
    assert.deepEqual(
      sim.live("web").map((t) => t.id),
      before,
    );
    assert.equal(sim.view.recordsWaiting().length, 0);
  });

  it("counts no failure later than new tasks are watched", () => {
    const update = config({ monitor: 5_000, delay: 20_000 });
    const sim = running(update);
    sim.service("web", spec("v2", update));
    sim.run(12_000);
    sim.fail(sim.live("web").find((t) => t.spec.container!.image === "v2")!.id);
    sim.run(120_000);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
    assert.deepEqual(images(sim), ["v2", "v2", "v2"]);
  });

  it("goes on below the failure ratio, and pauses above it", () => {
    for (const [ratio, state] of [
      [0.5, "completed"],
      [0.3, "paused"],
    ] as const) {
      const update = config({ maxFailureRatio: ratio });
      const sim = running(update);
      sim.service("web", spec("v2", update));
      let failed = false;
      sim.onApply = (_, changed) => {
        for (const { after } of changed.tasks.values())
          if (!failed && after?.spec.container?.image === "v2" && after.state === S.TASK_STATE_RUNNING) {
            failed = true;
            sim.onApply = () => {};
            sim.fail(after.id);
          }
      };
      sim.run(180_000);
      assert.equal(sim.view.service("web")!.updateStatus?.state, state, `ratio ${ratio}`);
    }
  });

  it("goes on after a pause when the service is updated once more", () => {
    const sim = running(config());
    sim.broken.set("bad", S.TASK_STATE_RUNNING);
    sim.service("web", spec("bad", config()));
    sim.run(60_000);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "paused");
    sim.broken.clear();
    sim.service("web", spec("bad", config()));
    sim.run(120_000);
    assert.equal(sim.view.service("web")!.updateStatus?.state, "completed");
    assert.deepEqual(images(sim), ["bad", "bad", "bad"]);
  });

  it("makes tasks anew for host-mode ports, not for others", () => {
    const sim = running(config());
    const before = sim.live("web").map((t) => t.id);
    const ports = (...endpoints: ReturnType<typeof aPort>[]) => ({
      ...spec("v1", config()),
      endpoint: { mode: "vip", ports: endpoints },
    });
    sim.apply(putNetwork(aNetwork("ingress", "ingress", true)));
    sim.service("web", ports(aPort(80, 8080)));
    sim.run(60_000);
    const onIngress = sim.live("web").map((t) => t.id);
    assert.ok(onIngress.every((id) => !before.includes(id)));
    sim.service("web", ports(aPort(80, 8081), aPort(81, 8082)));
    sim.run(60_000);
    assert.deepEqual(
      sim.live("web").map((t) => t.id),
      onIngress,
    );
    sim.service("web", ports(aPort(80, 8081), aPort(81, 9000, "host")));
    sim.run(60_000);
    assert.ok(sim.live("web").every((t) => !onIngress.includes(t.id)));
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
