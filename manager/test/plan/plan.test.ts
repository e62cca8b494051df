import assert from "node:assert/strict";
import { type Plan, seededRandom, systemClock } from "@creel/shared";
import { ControlRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import { Availability, type ServiceSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { RaftStatus } from "node-raft-server";
import { changeFor } from "../../src/control/control.ts";
import { ChangePlan } from "../../src/plan/plan.ts";
import { Sim } from "../support/sim.ts";
import { aServiceSpec, aTaskSpec } from "../support/specs.ts";

const GIB = 2 ** 30;
const raft = { id: 1, voters: [1], progress: [] } as unknown as RaftStatus;
const random = seededRandom(7);

function threeNodes(): Sim {
  const sim = new Sim();
  sim.nodes("n1", "n2", "n3");
  return sim;
}

const request = (kind: NonNullable<ControlRequest["kind"]>) => ControlRequest.fromPartial({ kind });
const create = (spec: ServiceSpec) => request({ $case: "createService", value: { spec } });
const update = (sim: Sim, spec: ServiceSpec) => {
  const { id, meta } = sim.view.services().find((service) => service.spec?.name === spec.name)!;
  return request({ $case: "updateService", value: { id, version: meta!.version, spec, rollback: false } });
};
const drain = (sim: Sim, id: string) => {
  const { spec, meta } = sim.view.node(id)!;
  const drained = { ...spec!, availability: Availability.AVAILABILITY_DRAIN };
  return request({ $case: "updateNode", value: { id, version: meta!.version, spec: drained } });
};
const reserving = (name: string, replicas: number, gib: number) =>
  aServiceSpec(name, replicas, { task: aTaskSpec({ reservations: { memoryBytes: gib * GIB } }) });

async function planOf(sim: Sim, ...requests: ControlRequest[]): Promise<Plan> {
  const clock = { ...systemClock, now: () => Date.now() };
  const plan = new ChangePlan(sim.store.fork(), raft, { clock, random });
  for (const each of requests) plan.control(each);
  return await plan.finish();
}

/** Carries it out, and lets the cluster come to rest. */
function carryOut(sim: Sim, ...requests: ControlRequest[]): void {
  for (const each of requests) {
    const context = { view: sim.view, raft, clock: systemClock, random };
    sim.apply(...changeFor(each, context).actions);
  }
  sim.run(200_000);
}

const words = (plan: Plan, name = "web") =>
  plan.services
    .find((service) => service.name === name)!
    .tasks.map((task) => `${task.slot} ${task.action} ${task.fromNodeId}>${task.nodeId}`);

/** Slot → node, as the plan says and as it is. */
function placesIn(plan: Plan, name = "web"): Record<string, string> {
  const tasks = plan.services.find((service) => service.name === name)?.tasks ?? [];
  return Object.fromEntries(
    tasks.filter(({ nodeId }) => nodeId !== "").map(({ slot, nodeId }) => [slot || nodeId, nodeId]),
  );
}
function placesNow(sim: Sim, name = "web"): Record<string, string> {
  const service = sim.view.serviceByName(name);
  const live = service ? sim.live(service.id) : [];
  return Object.fromEntries(
    live.map((task) => [task.slot || task.nodeId, task.nodeId] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

describe("a plan", () => {
  it("changes nothing", async () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3));
    sim.run(10_000);
    const [view, tasks] = [sim.view, sim.view.tasks()];
    await planOf(sim, create(aServiceSpec("other", 5)), drain(sim, "n1"));
    assert.equal(sim.view, view);
    assert.deepEqual(sim.view.tasks(), tasks);
  });

  it("of a new service names each task's node, as it comes to pass", async () => {
    const sim = threeNodes();
    const requests = [create(aServiceSpec("web", 5))];
    const plan = await planOf(sim, ...requests);
    assert.deepEqual([plan.fits, plan.withoutANode.fits, plan.complete], [true, true, true]);
    assert.equal(plan.services[0]!.change, "create");
    carryOut(sim, ...requests);
    assert.deepEqual(placesIn(plan), placesNow(sim));
  });

  it("of fewer, of another spec, of a constraint, of a drain: comes to pass", async () => {
    const sim = threeNodes();
    carryOut(sim, create(aServiceSpec("web", 5)));
    const steps: [() => ControlRequest, RegExp][] = [
      [() => update(sim, aServiceSpec("web", 3)), /stop/],
      [() => update(sim, aServiceSpec("web", 7)), /create/],
      [
        () => update(sim, aServiceSpec("web", 7, { task: aTaskSpec({ container: { image: "whoami:2" } }) })),
        /replace|move/,
      ],
      [
        () =>
          update(
            sim,
            aServiceSpec("web", 7, {
              task: aTaskSpec({
                container: { image: "whoami:2" },
                placement: { constraints: ["node.id != n2"] },
              }),
            }),
          ),
        /move n2>/,
      ],
      [() => drain(sim, "n1"), /move n1>/],
    ];
    for (const [make, said] of steps) {
      const change = make();
      const plan = await planOf(sim, change);
      assert.match(words(plan).join("\n"), said);
      carryOut(sim, change);
      assert.deepEqual(placesIn(plan), placesNow(sim), String(said));
    }
  });

  it("of a job names a node for each of its tasks, and lets be what is done", async () => {
    const sim = threeNodes();
    const job = (totalCompletions: number) =>
      aServiceSpec("web", 0, {
        mode: { $case: "replicatedJob", value: { maxConcurrent: 2, totalCompletions } },
      });
    const plan = await planOf(sim, create(job(5)));
    assert.deepEqual([plan.fits, plan.complete], [true, true]);
    assert.deepEqual(
      plan.services[0]!.tasks.map(({ action, nodeId }) => [action, nodeId !== ""]),
      Array(5).fill(["create", true]),
    );
  });

  it("says what has no place, and why", async () => {
    const sim = threeNodes();
    const plan = await planOf(sim, create(reserving("web", 4, 6)));
    assert.equal(plan.fits, false);
    const waiting = plan.services[0]!.tasks.filter(({ action }) => action === "wait");
    assert.equal(waiting.length, 1);
    assert.match(waiting[0]!.reason, /no suitable node/);
  });

  it("names the nodes whose loss would leave tasks without a place", async () => {
    const sim = threeNodes();
    sim.service("small", aServiceSpec("small", 3));
    const plan = await planOf(sim, create(reserving("web", 3, 6)));
    assert.equal(plan.fits, true);
    assert.equal(plan.withoutANode.fits, false);
    assert.deepEqual(plan.withoutANode.losses.map(({ nodeId }) => nodeId).sort(), ["n1", "n2", "n3"]);
    const [loss] = plan.withoutANode.losses[0]!.unplaced;
    assert.deepEqual([loss?.serviceName, loss?.tasks], ["web", 1]);
    assert.equal((await planOf(sim, create(reserving("web", 2, 6)))).withoutANode.fits, true);
  });

  it("of a removed service stops all of its tasks", async () => {
    const sim = threeNodes();
    carryOut(sim, create(aServiceSpec("web", 2)));
    const { id } = sim.view.serviceByName("web")!;
    const plan = await planOf(sim, request({ $case: "removeService", value: id }));
    assert.deepEqual(
      plan.services.map(({ change, tasks }) => [change, tasks.map(({ action }) => action)]),
      [["remove", ["stop", "stop"]]],
    );
  });

  it("is refused as the change itself would be", async () => {
    const sim = threeNodes();
    await assert.rejects(planOf(sim, create({ ...aServiceSpec("web", 1), name: "-" })), {
      code: "invalid_parameter",
    });
    await assert.rejects(planOf(sim, request({ $case: "removeService", value: "none" })), {
      code: "no_such_service",
    });
  });
});
