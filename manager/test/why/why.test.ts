import assert from "node:assert/strict";
import type { Why } from "@creel/shared";
import {
  Availability,
  type ServiceSpec,
  TaskState,
  UpdateConfig,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { why } from "../../src/why/why.ts";
import { Sim } from "../support/sim.ts";
import { aServiceSpec, aTaskSpec } from "../support/specs.ts";

const GIB = 2 ** 30;

function threeNodes(): Sim {
  const sim = new Sim();
  sim.nodes("n1", "n2", "n3");
  return sim;
}

const withTask = (name: string, replicas: number, change: Parameters<typeof aTaskSpec>[0]): ServiceSpec =>
  aServiceSpec(name, replicas, { task: aTaskSpec(change) });
const ask = (sim: Sim, kind: Why["kind"], id: string) => why(sim.view, kind, id, sim.now);
const said = ({ causes }: Why) => causes.map(({ code, text }) => `${code}: ${text}`);

describe("why", () => {
  it("a task has no place: each filter with how many nodes, and numbers", () => {
    const sim = threeNodes();
    sim.availability("n1", Availability.AVAILABILITY_DRAIN);
    sim.service("web", withTask("web", 2, { reservations: { memoryBytes: 9 * GIB } }));
    sim.run(5_000);
    const told = ask(sim, "service", "web");
    assert.equal(told.summary, "web: 0 of 2 tasks run");
    const [first] = told.causes;
    assert.deepEqual([first?.code, first?.count, first?.tasks], ["no-place", 2, ["web.1", "web.2"]]);
    assert.match(
      first!.text,
      /^2 of 3 nodes: not enough memory: needs 9\.0 GiB of memory, largest free 8\.0 GiB on host-n\d; 1 of 3 nodes: host-n1 is drained$/,
    );
    const id = sim.view.recordsOfService("web")[0]!.id;
    assert.equal(ask(sim, "task", id).causes[0]?.text, first!.text);
    assert.deepEqual(said(ask(sim, "task", id)).slice(1), ["made: made: the service asks for it"]);
  });

  it("a task was restarted: how often, after what, and how long it waits now", () => {
    const sim = threeNodes();
    sim.broken.set("bad:1", TaskState.TASK_STATE_STARTING);
    const restart = { delaySet: true, delay: 4_000 };
    sim.service("web", withTask("web", 1, { container: { image: "bad:1" }, restart }));
    sim.run(30_000);
    const waiting = sim.view.recordsWaiting()[0] ?? assert.fail("none waits");
    const told = ask(sim, "task", waiting.id);
    assert.match(told.summary, /^web\.1 waits for its turn on host-n\d$/);
    const [first, second] = told.causes;
    assert.equal(first?.code, "restart-delay");
    assert.ok(first.until > sim.now && first.until <= sim.now + 60_000, String(first.until - sim.now));
    assert.match(second!.text, /^restarted [2-9] times: exit 1$/);
    assert.ok(
      told.causes.some(({ code, text }) => code === "failed" && /^failed on host-n\d: exit 1$/.test(text)),
    );
    assert.match(said(ask(sim, "service", "web")).join("\n"), /restarted: restarted \d times: exit 1/);
  });

  it("an image cannot be had, and the restart policy lets no other task follow", () => {
    const sim = threeNodes();
    sim.broken.set("none:1", TaskState.TASK_STATE_PREPARING);
    sim.service(
      "web",
      withTask("web", 1, { container: { image: "none:1" }, restart: { condition: "none" } }),
    );
    sim.run(10_000);
    const told = ask(sim, "service", "web");
    assert.equal(told.summary, "web: 0 of 1 task runs");
    assert.match(
      told.causes[0]!.text,
      /^failed on host-n\d: no such image; its restart policy \(none\) lets no other follow$/,
    );
  });

  it("a task moved: which node was lost, and what the node says", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 1));
    sim.run(5_000);
    const lost = sim.live("web")[0]!;
    sim.kill(lost.nodeId);
    sim.run(5_000);
    const now = sim.live("web")[0]!;
    const text = new RegExp(`^moved: moved to host-${now.nodeId}: host-${lost.nodeId} `);
    assert.match(said(ask(sim, "task", now.id))[1]!, text);
    assert.match(said(ask(sim, "service", "web"))[0]!, text);
    const node = ask(sim, "node", lost.nodeId);
    assert.match(node.summary, /is down: it takes no tasks; 0 tasks are wanted on it$/);
    assert.match(said(node).join("\n"), /^moved: 1 task taken off: host-n\d /m);
    assert.match(said(node).join("\n"), /^node-state: is down/m);
    assert.match(said(ask(sim, "task", lost.id)).join("\n"), /^stopped: stopped: host-n\d /m);
  });

  it("an update is paused: because of which task, and why that failed", () => {
    const sim = threeNodes();
    sim.service("web", aServiceSpec("web", 3));
    sim.run(10_000);
    sim.broken.set("bad:1", TaskState.TASK_STATE_STARTING);
    const update = UpdateConfig.fromPartial({ parallelism: 1, failureAction: "pause" });
    sim.service("web", { ...withTask("web", 3, { container: { image: "bad:1" } }), update });
    sim.run(30_000);
    const told = ask(sim, "service", "web").causes.find(({ code }) => code === "update-paused");
    assert.match(
      told?.text ?? "",
      /^update paused due to failure or early termination of task \S+: web\.\d: exit 1$/,
    );
  });

  it("a node is drained, paused, holds reservations, or sees a service fail", () => {
    const sim = threeNodes();
    sim.broken.set("bad:1", TaskState.TASK_STATE_STARTING);
    const placement = { constraints: ["node.id == n1"] };
    sim.service(
      "web",
      withTask("web", 1, { placement, reservations: { nanoCpus: 1.5e9, memoryBytes: 2 * GIB } }),
    );
    const restart = { delaySet: true, delay: 0 };
    sim.service("bad", withTask("bad", 1, { placement, restart, container: { image: "bad:1" } }));
    sim.run(60_000);
    let told = said(ask(sim, "node", "n1")).join("\n");
    assert.match(told, /reserved: 2\.0 GiB of 8\.0 GiB of memory, 1\.5 of 4 CPUs/);
    assert.match(told, /bad failed \d times in the last 5 minutes: exit 1/);
    sim.availability("n1", Availability.AVAILABILITY_PAUSE);
    assert.match(said(ask(sim, "node", "n1")).join("\n"), /availability: is paused/);
    sim.availability("n1", Availability.AVAILABILITY_DRAIN);
    sim.run(1_000);
    told = ask(sim, "node", "n1").summary;
    assert.match(told, /is drained: it takes no tasks/);
  });

  it("says that a service will not come to be as wanted, when that is certain and not before", () => {
    const sim = threeNodes();
    const stuck = (name: string) => ask(sim, "service", name).stuck;
    sim.service("fine", aServiceSpec("fine", 2));
    sim.service("big", withTask("big", 2, { reservations: { memoryBytes: 5 * GIB } }));
    sim.run(10_000);
    assert.deepEqual([stuck("fine"), stuck("big")], ["", ""]);
    sim.service("big", withTask("big", 4, { reservations: { memoryBytes: 5 * GIB } }));
    sim.run(2_000);
    assert.equal(stuck("big"), "");
    sim.run(10_000);
    assert.equal(stuck("big"), "no suitable node (insufficient resources on 3 nodes)");
    sim.nodes("n4");
    sim.run(5_000);
    assert.equal(stuck("big"), "", "another node came");

    sim.broken.set("none:1", TaskState.TASK_STATE_PREPARING).set("bad:1", TaskState.TASK_STATE_STARTING);
    const restart = { delaySet: true, delay: 1_000 };
    sim.service("none", withTask("none", 1, { container: { image: "none:1" }, restart }));
    sim.service("bad", withTask("bad", 1, { container: { image: "bad:1" }, restart }));
    sim.service(
      "once",
      withTask("once", 1, { container: { image: "bad:1" }, restart: { condition: "none" } }),
    );
    sim.run(3_000);
    assert.deepEqual([stuck("none"), stuck("bad")], ["", ""]);
    assert.equal(stuck("once"), "exit 1; its restart policy lets no other follow");
    sim.run(60_000);
    assert.match(stuck("none"), /^no such image \([3-9] times in a row\)$/);
    assert.match(stuck("bad"), /^exit 1 \([5-9] times in a row\)$/);
  });

  it("is refused for what is not there", () => {
    const sim = threeNodes();
    assert.throws(() => ask(sim, "service", "x"), { code: "no_such_service" });
    assert.throws(() => ask(sim, "task", "x"), { code: "no_such_task" });
    assert.throws(() => ask(sim, "node", "x"), { code: "no_such_node" });
  });
});
