import assert from "node:assert/strict";
import { Availability, CauseKind, TaskState, UpdateConfig } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { TaskRecord } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aServiceSpec, aTaskSpec } from "../support/specs.ts";

function web(replicas: number): Sim {
  const sim = new Sim();
  sim.nodes("n1", "n2", "n3");
  sim.service("web", aServiceSpec("web", replicas));
  sim.run(10_000);
  return sim;
}

const newest = (sim: Sim): TaskRecord =>
  sim.view.recordsOfService("web").reduce((a, b) => (b.createdAt >= a.createdAt ? b : a));

describe("causes of what the loops do", () => {
  it("are the service's mode at first, and when fewer are wanted", () => {
    const sim = web(2);
    for (const task of sim.live("web")) assert.equal(task.madeBy?.kind, CauseKind.CAUSE_MODE);
    assert.equal(newest(sim).madeBy?.at, newest(sim).createdAt);
    const seen: (CauseKind | undefined)[] = [];
    sim.onApply = (_, changed) => {
      for (const { after } of changed.tasks.values())
        if (after && after.desiredState > TaskState.TASK_STATE_RUNNING) seen.push(after.stoppedBy?.kind);
    };
    sim.service("web", aServiceSpec("web", 1));
    sim.run(5_000);
    assert.ok(seen.length > 0 && seen.every((kind) => kind === CauseKind.CAUSE_MODE));
  });

  it("count restarts in a row, with the error that each followed", () => {
    const sim = web(1);
    sim.broken.set("bad:1", TaskState.TASK_STATE_STARTING);
    const task = aTaskSpec({ container: { image: "bad:1" }, restart: { delaySet: true } });
    const update = UpdateConfig.fromPartial({ failureAction: "continue" });
    sim.service("web", aServiceSpec("web", 1, { task, update }));
    sim.run(20_000);
    const { madeBy } = newest(sim);
    assert.equal(madeBy?.kind, CauseKind.CAUSE_RESTART);
    assert.equal(madeBy.detail, "task: non-zero exit (1)");
    assert.ok(madeBy.count > 2, String(madeBy.count));
  });

  it("name the node that was lost or drained, at the task that stops and at the one in its place", () => {
    const sim = web(1);
    const lost = sim.live("web")[0]!;
    sim.kill(lost.nodeId);
    sim.run(5_000);
    const stopped = sim.view.record(lost.id)!.stoppedBy!;
    assert.deepEqual(
      [stopped.kind, stopped.subject, stopped.detail],
      [CauseKind.CAUSE_NODE_DOWN, lost.nodeId, "heartbeat failure"],
    );
    const next = sim.live("web")[0]!;
    assert.deepEqual([next.madeBy?.kind, next.madeBy?.subject], [CauseKind.CAUSE_NODE_DOWN, lost.nodeId]);

    sim.availability(next.nodeId, Availability.AVAILABILITY_DRAIN);
    sim.run(5_000);
    const third = sim.live("web")[0]!;
    assert.deepEqual(
      [third.madeBy?.kind, third.madeBy?.subject],
      [CauseKind.CAUSE_NODE_DRAINED, next.nodeId],
    );
    assert.equal(sim.view.record(next.id)?.stoppedBy?.kind, CauseKind.CAUSE_NODE_DRAINED);
  });

  it("are an update's", () => {
    const sim = web(1);
    sim.service("web", { ...aServiceSpec("web", 1), task: aTaskSpec({ container: { image: "whoami:2" } }) });
    sim.run(10_000);
    assert.equal(newest(sim).madeBy?.kind, CauseKind.CAUSE_UPDATE);
  });
});
