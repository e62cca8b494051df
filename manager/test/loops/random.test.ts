import assert from "node:assert/strict";
import {
  Availability,
  NodeState,
  type ServiceSpec,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished, isLive, isWanted, type StoreView } from "../../src/store/mod.ts";
import { Sim } from "../support/sim.ts";
import { aNetwork, aPort, aServiceSpec, aTaskSpec, putNetwork } from "../support/specs.ts";

const seed = Number(process.env.SEED ?? Date.now() & 0x7fffffff);

/** No two holders of an address on any network, at any time. */
function checkAddresses(view: StoreView) {
  const taken = new Map<string, string>();
  const take = (networkId: string, address: string, holder: string) => {
    const key = `${networkId} ${address}`;
    assert.equal(taken.get(key), undefined, `${key} is taken by ${taken.get(key)} and ${holder}`);
    taken.set(key, holder);
  };
  for (const network of view.networks()) if (network.gateway) take(network.id, network.gateway, "gateway");
  for (const node of view.nodes()) {
    for (const [id, address] of Object.entries(node.addresses)) take(id, address, node.id);
  }
  for (const service of view.services()) {
    for (const vip of service.virtualIps) take(vip.networkId, vip.address, service.id);
  }
  for (const task of view.records()) {
    if (!isFinished(task)) for (const a of task.attachments()) take(a.networkId, a.address, task.id);
  }
}

function job(totalCompletions: number, maxConcurrent: number, forceUpdate: number): ServiceSpec {
  const task = aTaskSpec({ container: { image: "job:1" }, forceUpdate });
  const mode = { $case: "replicatedJob" as const, value: { totalCompletions, maxConcurrent } };
  return aServiceSpec("s4", 0, { task, mode });
}

describe(`all loops, with random events (SEED=${seed})`, () => {
  for (const lossRate of [0, 0.1]) {
    it(`come to what was asked, with ${lossRate * 100} % of the rounds lost`, function () {
      this.timeout(60_000);
      const sim = new Sim(seed);
      const below = (n: number) => Math.floor(sim.random.next() * n);
      const nodes = ["n0", "n1", "n2", "n3", "n4"];
      sim.apply(putNetwork(aNetwork("ingress", "ingress", true)), putNetwork(aNetwork("w1", "net")));
      sim.nodes(...nodes);
      sim.short.add("job:1");
      sim.onApply = checkAddresses;
      sim.lossRate = lossRate;
      for (let i = 0; i < 150; i++) {
        const id = `s${below(5)}`;
        const node = nodes[below(5)]!;
        switch (below(6)) {
          case 0:
            if (sim.view.node(node)!.status!.state === NodeState.NODE_STATE_DOWN) sim.revive(node);
            else if (below(2) === 0) sim.kill(node);
            break;
          case 1:
            sim.availability(node, below(3) as Availability);
            break;
          case 2:
            if (sim.view.service(id) && below(3) === 0) {
              sim.apply({ kind: { $case: "removeService", value: id } });
            }
            break;
          default: {
            if (id === "s4") {
              sim.service(id, job(below(9), 1 + below(3), below(3)));
              break;
            }
            const task = aTaskSpec({
              container: { image: `v${below(3)}` },
              networks: below(2) === 0 ? [{ target: "w1" }] : [],
            });
            const global = id === "s3";
            sim.service(
              id,
              aServiceSpec(id, below(9), {
                task,
                ...(global ? { mode: { $case: "global", value: {} } } : {}),
                update: {
                  parallelism: below(3),
                  delay: below(2) * 2_000,
                  failureAction: "pause",
                  monitor: 1_000,
                  maxFailureRatio: 0.5,
                  order: below(2) === 0 ? "start-first" : "stop-first",
                },
                endpoint: { mode: "vip", ports: below(2) === 0 ? [aPort(80)] : [] },
              }),
            );
          }
        }
        sim.run(below(8_000));
      }

      sim.lossRate = 0;
      for (const id of nodes) {
        sim.availability(id, Availability.AVAILABILITY_ACTIVE);
        sim.revive(id);
      }
      sim.run(300_000);
      for (const service of sim.view.services()) {
        const mode = service.spec!.mode!;
        if (mode.$case === "replicatedJob") {
          const { iteration } = service.jobStatus!;
          const tasks = sim.view
            .recordsOfService(service.id)
            .filter((t) => t.group.jobIteration === iteration);
          const done = tasks.filter((t) => t.state === TaskState.TASK_STATE_COMPLETE);
          const slots = new Set(done.map((t) => t.slot));
          for (let slot = 0; slot < mode.value.totalCompletions; slot++)
            assert.ok(slots.has(slot), `slot ${slot}`);
          assert.equal(tasks.filter(isLive).length, 0);
          continue;
        }
        const wanted = sim.view.recordsOfService(service.id).filter(isWanted);
        assert.equal(
          wanted.length,
          mode.$case === "replicated" ? mode.value.replicas : nodes.length,
          service.id,
        );
        for (const task of wanted) {
          assert.equal(task.state, TaskState.TASK_STATE_RUNNING);
          assert.equal(task.specVersion, service.specVersion);
        }
        const places = new Set(wanted.map((t) => (mode.$case === "replicated" ? t.slot : t.nodeId)));
        assert.equal(places.size, wanted.length);
        assert.notEqual(service.updateStatus?.state, "updating");
      }
      for (const task of sim.view.records()) assert.ok(sim.view.service(task.serviceId), task.id);
      const index = sim.view.index;
      sim.run(600_000, 60_000);
      assert.equal(sim.view.index, index);
    });
  }
});
