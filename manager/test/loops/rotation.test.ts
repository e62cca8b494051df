import assert from "node:assert/strict";
import { seededRandom } from "@creel/shared";
import { type ServiceSpec, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { RaftStatus } from "node-raft-server";
import { rotateData } from "../../src/control/data.ts";
import { SECRETS } from "../../src/data.ts";
import { isFinished } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aReference, aSecret, aServiceSpec, aTaskSpec, putSecret } from "../support/specs.ts";

function spec(name: string, change: Partial<ServiceSpec> = {}): ServiceSpec {
  const container = { image: name, secrets: [aReference("key")] };
  return aServiceSpec(name, 2, { task: aTaskSpec({ container }), ...change });
}

/** Two services of two replicas with one secret, all of them running. */
function running(): Sim {
  const sim = new Sim();
  sim.nodes("n1", "n2");
  sim.apply(putSecret(aSecret("key")));
  sim.service("a", spec("a"));
  sim.service("b", spec("b"));
  sim.run(10_000);
  assert.deepEqual(pins(sim), ["a1", "a1", "b1", "b1"]);
  return sim;
}

/** The revisions that running tasks have, by service. */
function pins(sim: Sim): string[] {
  return ["a", "b"]
    .flatMap((id) => sim.live(id).map((task) => `${id}${task.spec.container!.secrets[0]!.revision}`))
    .sort();
}

function rotate(sim: Sim, value = "new"): void {
  const clock = { now: () => sim.now, after: () => assert.fail("nothing waits") };
  const context = { view: sim.view, raft: {} as RaftStatus, clock, random: seededRandom(1) };
  sim.apply(...rotateData(SECRETS, { id: "key", data: Buffer.from(value) }, context).actions);
}

const secret = (sim: Sim) => sim.view.secret("key")!;
const revisions = (sim: Sim) => secret(sim).revisions.map(({ number }) => number);

describe("rotation", () => {
  it("brings every service to the new revision by its update, then forgets the old one", () => {
    const sim = running();
    rotate(sim);
    sim.settle();
    assert.equal(secret(sim).rotation!.state, "rotating");
    assert.deepEqual(revisions(sim), [1, 2]);
    sim.run(60_000);
    assert.equal(secret(sim).rotation!.state, "completed");
    assert.deepEqual(pins(sim), ["a2", "a2", "b2", "b2"]);
    assert.deepEqual(revisions(sim), [2]);
    assert.deepEqual(sim.refusals, []);
  });

  it("keeps the old revision while a task of it runs", () => {
    const sim = running();
    rotate(sim);
    for (let step = 0; step < 200 && secret(sim).rotation!.state === "rotating"; step++) {
      sim.run(500);
      if (pins(sim).some((pin) => pin.endsWith("1"))) assert.ok(revisions(sim).includes(1));
    }
    assert.equal(secret(sim).rotation!.state, "completed");
  });

  it("is complete at once where no service names it", () => {
    const sim = new Sim();
    sim.apply(putSecret(aSecret("key")));
    rotate(sim);
    sim.settle();
    assert.equal(secret(sim).rotation!.state, "completed");
    assert.deepEqual(revisions(sim), [2]);
  });

  for (const failureAction of ["pause", "rollback"]) {
    it(`is undone for all when the update of one fails (${failureAction})`, () => {
      const sim = running();
      const config = { parallelism: 1, delay: 0, monitor: 5_000, maxFailureRatio: 0, order: "" };
      sim.service("a", spec("a", { update: { ...config, failureAction } }));
      sim.run(10_000);
      rotate(sim);
      sim.broken.set("a", TaskState.TASK_STATE_STARTING);
      sim.run(10_000);
      sim.broken.clear();
      sim.run(60_000);
      const { state, from, to, message } = secret(sim).rotation!;
      assert.deepEqual([state, from, to], ["undone", 1, 2]);
      assert.match(message, /^service a: update .*due to failure.*task: non-zero exit \(1\)$/);
      assert.equal(secret(sim).revision, 1);
      assert.deepEqual(pins(sim), ["a1", "a1", "b1", "b1"]);
      assert.deepEqual(revisions(sim), [1]);
      assert.deepEqual(sim.refusals, []);

      rotate(sim);
      sim.run(60_000);
      assert.equal(secret(sim).rotation!.to, 3, "a revision's number is never given twice");
      assert.deepEqual(pins(sim), ["a3", "a3", "b3", "b3"]);
    });
  }

  it("is undone when a service is turned back by hand", () => {
    const sim = running();
    rotate(sim);
    sim.settle();
    sim.service("b", spec("b"));
    sim.run(60_000);
    assert.equal(secret(sim).rotation!.state, "undone");
    assert.deepEqual(pins(sim), ["a1", "a1", "b1", "b1"]);
  });

  it("refuses a second one meanwhile", () => {
    const sim = running();
    rotate(sim);
    assert.throws(() => rotate(sim), /is being rotated already/);
  });

  const seed = Number(process.env.SEED ?? Date.now() & 0x7fffffff);
  for (const lossRate of [0, 0.2]) {
    it(`comes to one revision for all, whatever happens, with ${lossRate * 100} % of the rounds lost (SEED=${seed})`, () => {
      const sim = new Sim(seed);
      const below = (n: number) => Math.floor(sim.random.next() * n);
      const ids = ["a", "b", "c"];
      const given = new Set([1]);
      sim.nodes("n1", "n2", "n3");
      sim.apply(putSecret(aSecret("key")));
      sim.onApply = (view) => {
        const kept = new Set(view.secret("key")!.revisions.map(({ number }) => number));
        for (const service of view.services()) {
          const tasks = view.recordsOfService(service.id).filter((task) => !isFinished(task));
          for (const { container } of [service.spec!.task!, ...tasks.map((task) => task.spec)])
            for (const { revision } of container!.secrets) assert.ok(kept.has(revision), `${revision}`);
        }
      };
      const deploy = (id: string) => {
        const update = { parallelism: 1 + below(2), delay: 0, monitor: 1_000, maxFailureRatio: 0, order: "" };
        const failureAction = ["pause", "rollback", "continue"][below(3)]!;
        const wished = spec(id, { update: { ...update, failureAction } });
        wished.task!.container!.secrets[0]!.revision = secret(sim).revision;
        sim.service(id, wished);
      };
      for (const id of ids) deploy(id);
      sim.lossRate = lossRate;
      for (let i = 0; i < 80; i++) {
        const node = `n${1 + below(3)}`;
        switch (below(6)) {
          case 0:
          case 1: {
            if (secret(sim).rotation?.state === "rotating") break;
            rotate(sim);
            const { to } = secret(sim).rotation!;
            assert.ok(!given.has(to), `${to} is given twice`);
            given.add(to);
            break;
          }
          case 2:
            if (sim.dead.has(node)) sim.revive(node);
            else sim.kill(node);
            break;
          case 3:
            sim.broken.set(ids[below(3)]!, TaskState.TASK_STATE_STARTING);
            break;
          case 4:
            deploy(ids[below(3)]!);
            break;
          default:
            sim.broken.clear();
        }
        sim.run(below(8_000));
      }
      sim.broken.clear();
      sim.lossRate = 0;
      for (const node of sim.dead) sim.revive(node);
      for (const id of ids) deploy(id);
      sim.run(300_000);
      assert.notEqual(secret(sim).rotation?.state, "rotating");
      assert.deepEqual(revisions(sim), [secret(sim).revision]);
      for (const id of ids) {
        const running = sim.live(id).map((task) => task.spec.container!.secrets[0]!.revision);
        assert.deepEqual(running, [secret(sim).revision, secret(sim).revision], id);
      }
    });
  }
});
