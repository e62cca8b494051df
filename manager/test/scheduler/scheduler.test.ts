import assert from "node:assert/strict";
import { Availability, NodeState, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { explainTask } from "../../src/scheduler/mod.ts";
import { Sim } from "../support/sim.ts";
import { aNode, aPort, aServiceSpec, aTaskSpec, putNode } from "../support/specs.ts";

const GIB = 2 ** 30;

function nodes(...ids: string[]): Sim {
  const sim = new Sim();
  sim.nodes(...ids);
  return sim;
}

function errors(sim: Sim, serviceId: string): string[] {
  return [
    ...new Set(
      sim.view
        .recordsInState(TaskState.TASK_STATE_PENDING)
        .filter((t) => t.serviceId === serviceId)
        .map((t) => t.err),
    ),
  ];
}

describe("scheduler", () => {
  it("says why no node takes a task, and takes one that becomes free", () => {
    const sim = nodes("n1", "n2", "n3");
    sim.availability("n3", Availability.AVAILABILITY_PAUSE);
    const task = aTaskSpec({ reservations: { memoryBytes: 5 * GIB } });
    sim.service("big", aServiceSpec("big", 3, { task }));
    sim.run(10_000);
    assert.deepEqual(sim.perNode("big"), { n1: 1, n2: 1 });
    assert.deepEqual(errors(sim, "big"), [
      "no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)",
    ]);
    sim.availability("n3", Availability.AVAILABILITY_ACTIVE);
    sim.run(10_000);
    assert.deepEqual(sim.perNode("big"), { n1: 1, n2: 1, n3: 1 });
  });

  it("gives the room of a removed service to another", () => {
    const sim = nodes("n1");
    const task = aTaskSpec({ reservations: { nanoCpus: 3e9 } });
    sim.service("a", aServiceSpec("a", 1, { task }));
    sim.run(5_000);
    sim.service("b", aServiceSpec("b", 1, { task }));
    sim.run(5_000);
    assert.deepEqual(errors(sim, "b"), ["no suitable node (insufficient resources on 1 node)"]);
    sim.apply({ kind: { $case: "removeService", value: "a" } });
    sim.run(5_000);
    assert.equal(sim.live("b").length, 1);
  });

  it("has Docker's words for each filter", () => {
    const cases: [Parameters<typeof aTaskSpec>[0], string][] = [
      [
        { placement: { constraints: ["node.role==manager"] } },
        "scheduling constraints not satisfied on 2 nodes",
      ],
      [{ placement: { platforms: [{ os: "windows" }] } }, "unsupported platform on 2 nodes"],
      [{ reservations: { generic: { gpu: 1 } } }, "insufficient resources on 2 nodes"],
      [{ logDriver: { name: "fluentd" } }, "missing plugin on 2 nodes"],
      [
        {
          container: { image: "i:1", mounts: [{ type: "volume", target: "/v", volumeDriver: "nfs" }] },
        },
        "missing plugin on 2 nodes",
      ],
    ];
    for (const [change, text] of cases) {
      const sim = nodes("n1", "n2");
      sim.service("s", aServiceSpec("s", 1, { task: aTaskSpec(change) }));
      sim.run(2_000);
      assert.deepEqual(errors(sim, "s"), [`no suitable node (${text})`]);
    }
    const sim = nodes("n1", "n2");
    const endpoint = { mode: "", ports: [aPort(80, 8080, "host")] };
    sim.service("port", aServiceSpec("port", 3, { endpoint }));
    sim.service("max", aServiceSpec("max", 5, { task: aTaskSpec({ placement: { maxReplicas: 2 } }) }));
    sim.run(10_000);
    assert.deepEqual(sim.perNode("port"), { n1: 1, n2: 1 });
    assert.deepEqual(errors(sim, "port"), ["no suitable node (host-mode port already in use on 2 nodes)"]);
    assert.deepEqual(sim.perNode("max"), { n1: 2, n2: 2 });
    assert.deepEqual(errors(sim, "max"), ["no suitable node (max replicas per node limit exceed)"]);
    const empty = new Sim();
    empty.service("s", aServiceSpec("s", 1));
    empty.run(2_000);
    assert.deepEqual(errors(empty, "s"), ["no suitable node"]);
  });

  it("gives each task names of its own, and takes them back", () => {
    const sim = new Sim();
    const node = aNode("n1");
    const resources = {
      ...node.description!.resources!,
      generic: { ssd: 3 },
      named: { gpu: { names: ["a", "b", "c"] } },
    };
    sim.apply(putNode({ ...node, description: { ...node.description!, resources } }));
    const task = aTaskSpec({ reservations: { generic: { gpu: 1, ssd: 1 } } });
    const names = () => sim.live("s").map((t) => t.genericResources[0]!.names.join());
    sim.service("s", aServiceSpec("s", 2, { task }));
    sim.run(5_000);
    assert.deepEqual(names().sort(), ["a", "b"]);
    assert.deepEqual(sim.live("s")[0]!.genericResources[1], { kind: "ssd", count: 1, names: [] });
    sim.service("s", aServiceSpec("s", 4, { task }));
    sim.run(5_000);
    assert.deepEqual(names().sort(), ["a", "b", "c"]);
    assert.deepEqual(errors(sim, "s"), ["no suitable node (insufficient resources on 1 node)"]);
    sim.service("s", aServiceSpec("s", 1, { task }));
    sim.run(20_000);
    sim.service("s", aServiceSpec("s", 3, { task }));
    sim.run(20_000);
    assert.deepEqual(names().sort(), ["a", "b", "c"]);
  });

  it("places more than fit into one round, in many services, as it places few", () => {
    const sim = nodes("n1", "n2", "n3");
    for (let i = 0; i < 30; i++) sim.service(`s${i}`, aServiceSpec(`s${i}`, i === 0 ? 12_000 : 4));
    sim.settle();
    assert.equal(sim.view.countInState(TaskState.TASK_STATE_PENDING), 0);
    const perNode = ["n1", "n2", "n3"].map((id) => sim.view.recordsOnNode(id).length);
    assert.ok(Math.max(...perNode) - Math.min(...perNode) <= 1, `${perNode}`);
  });

  it("explains a pending task in numbers, each node by the first filter that refuses it", () => {
    const sim = nodes("n1", "n2", "n3");
    sim.availability("n3", Availability.AVAILABILITY_DRAIN);
    const small = aTaskSpec({ reservations: { memoryBytes: 3 * GIB } });
    sim.service("a", aServiceSpec("a", 1, { task: small }));
    sim.run(5_000);
    const busy = Object.keys(sim.perNode("a"))[0]!;
    const idle = busy === "n1" ? "n2" : "n1";
    const task = aTaskSpec({ reservations: { memoryBytes: 9 * GIB, nanoCpus: 1e9 } });
    sim.service("b", aServiceSpec("b", 1, { task }));
    sim.run(5_000);
    const explanation = explainTask(sim.view, sim.view.tasksOfService("b")[0]!, sim.now);
    assert.equal(explanation.nodes, 3);
    assert.deepEqual(explanation.fitting, []);
    assert.deepEqual(
      explanation.refused.map(({ filter, short, text, nodes }) => [filter, nodes.length, short, text]),
      [
        [
          "resources",
          2,
          "insufficient resources on 2 nodes",
          `needs 9.0 GiB of memory, largest free 8.0 GiB on host-${idle}`,
        ],
        ["ready", 1, "1 node not available for new tasks", "down, paused or drained"],
      ],
    );
    assert.deepEqual(explanation.refused[0]!.shortages, [
      {
        resource: "memory",
        needs: 9 * GIB,
        largestFree: 8 * GIB,
        on: { id: idle, hostname: `host-${idle}` },
        nodes: 2,
      },
    ]);
  });

  it("fills the emptier nodes first", () => {
    const sim = nodes("n1", "n2");
    sim.service("a", aServiceSpec("a", 4));
    sim.run(5_000);
    sim.nodes("n3");
    sim.service("b", aServiceSpec("b", 1));
    sim.run(5_000);
    assert.deepEqual(sim.perNode("b"), { n3: 1 });
    sim.service("a", aServiceSpec("a", 6));
    sim.run(5_000);
    assert.deepEqual(sim.perNode("a"), { n1: 2, n2: 2, n3: 2 });
  });

  it("spreads over a label before it spreads over nodes", () => {
    const sim = new Sim();
    for (const [id, zone] of [
      ["n1", "a"],
      ["n2", "a"],
      ["n3", "a"],
      ["n4", "b"],
    ] as const) {
      const node = aNode(id);
      sim.apply(putNode({ ...node, spec: { ...node.spec!, labels: { zone } } }));
    }
    const task = aTaskSpec({ placement: { spread: ["node.labels.zone"] } });
    sim.service("s", aServiceSpec("s", 6, { task }));
    sim.run(5_000);
    assert.deepEqual(sim.perNode("s"), { n1: 1, n2: 1, n3: 1, n4: 3 });
  });

  it("keeps away from a node where the service fails again and again", () => {
    const sim = nodes("n1", "n2");
    sim.broken.set("bad", TaskState.TASK_STATE_RUNNING);
    const spec = (image: string) =>
      aServiceSpec("s", 1, {
        task: aTaskSpec({
          container: { image },
          restart: { condition: "any", delaySet: true },
          placement: { constraints: image === "bad" ? ["node.id==n1"] : [] },
        }),
      });
    sim.service("s", spec("bad"));
    sim.run(120_000);
    assert.ok(sim.view.recordsOnNode("n1").length >= 5);
    sim.service("s", spec("good"));
    sim.run(10_000);
    sim.service("other", aServiceSpec("other", 1));
    sim.run(10_000);
    assert.deepEqual(sim.perNode("s"), { n2: 1 });
    assert.deepEqual(sim.perNode("other"), { n1: 1 });
  });

  it("never gives more than a node has, whatever comes and goes", () => {
    const sim = new Sim(7);
    for (let i = 0; i < 5; i++) sim.nodes(`n${i}`);
    sim.onApply = (view) => {
      for (const node of view.nodes()) {
        let memory = 0;
        for (const t of view.recordsOnNode(node.id)) {
          if (t.state >= TaskState.TASK_STATE_ASSIGNED && t.state <= TaskState.TASK_STATE_RUNNING) {
            memory += t.spec.reservations?.memoryBytes ?? 0;
          }
        }
        assert.ok(memory <= 8 * GIB, `${node.id} has ${memory}`);
      }
    };
    for (let i = 0; i < 40; i++) {
      const id = `s${Math.floor(sim.random.next() * 4)}`;
      const memoryBytes = (1 + Math.floor(sim.random.next() * 3)) * GIB;
      const task = aTaskSpec({ reservations: { memoryBytes } });
      sim.service(id, aServiceSpec(id, Math.floor(sim.random.next() * 12), { task }));
      const node = `n${Math.floor(sim.random.next() * 5)}`;
      if (sim.random.next() < 0.2) sim.kill(node);
      else if (sim.view.node(node)!.status!.state === NodeState.NODE_STATE_DOWN) sim.revive(node);
      sim.run(Math.floor(sim.random.next() * 20_000));
    }
  });
});
