import assert from "node:assert/strict";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Sim } from "../support/sim.ts";
import { aNetwork, aPort, aServiceSpec, aTaskSpec, putNetwork } from "../support/specs.ts";

function onNetwork(target: string) {
  return { task: aTaskSpec({ networks: [{ target, aliases: ["alias"] }] }) };
}

describe("allocator", () => {
  it("gives networks subnets side by side, ingress the first, a wished one as it is", () => {
    const sim = new Sim();
    const wished = aNetwork("w2", "wished");
    sim.apply(
      putNetwork(aNetwork("w1", "one")),
      putNetwork({ ...wished, spec: { ...wished.spec!, subnet: "10.0.1.0/25" } }),
      putNetwork(aNetwork("w0", "ingress", true)),
    );
    sim.settle();
    const { view } = sim;
    assert.deepEqual(
      ["w0", "w1", "w2"].map((id) => view.network(id)!.subnet),
      ["10.0.0.0/24", "10.0.2.0/24", "10.0.1.0/25"],
    );
    assert.equal(view.network("w0")!.vni, 4096);
    assert.equal(new Set(view.networks().map((n) => n.vni)).size, 3);
  });

  it("takes published ports from 30000 on, and keeps them over updates", () => {
    const sim = new Sim();
    sim.apply(putNetwork(aNetwork("w0", "ingress", true)));
    const endpoint = { mode: "vip", ports: [aPort(80), aPort(81), aPort(82, 0, "host")] };
    sim.service("a", aServiceSpec("a", 0, { endpoint: { mode: "vip", ports: [aPort(1, 30_000)] } }));
    sim.service("b", aServiceSpec("b", 0, { endpoint }));
    sim.settle();
    const ports = () => sim.view.service("b")!.ports.map((p) => p.publishedPort);
    assert.deepEqual(ports(), [30_001, 30_002, 0]);
    sim.service("b", aServiceSpec("b", 0, { endpoint: { mode: "vip", ports: [aPort(81), aPort(80)] } }));
    sim.settle();
    assert.deepEqual(ports(), [30_002, 30_001]);
  });

  it("gives no VIP to a service that asks for DNS alone, and aliases to its tasks", () => {
    const sim = new Sim();
    sim.nodes("n1");
    sim.apply(putNetwork(aNetwork("w1", "net")));
    sim.service("a", aServiceSpec("a", 1, { ...onNetwork("w1"), endpoint: { mode: "dnsrr", ports: [] } }));
    sim.service("b", aServiceSpec("b", 1, onNetwork("w1")));
    sim.run(5_000);
    assert.deepEqual(sim.view.service("a")!.virtualIps, []);
    assert.equal(sim.view.service("b")!.virtualIps.length, 1);
    assert.deepEqual(sim.view.tasksOfService("a")[0]!.attachments[0]!.aliases, ["alias"]);
  });

  it("says when a network is full or gone, and goes on when an address is given back", () => {
    const sim = new Sim();
    sim.nodes("n1");
    const small = aNetwork("w1", "small");
    sim.apply(putNetwork({ ...small, spec: { ...small.spec!, subnet: "10.5.0.0/29" } }));
    const spec = (replicas: number) =>
      aServiceSpec("a", replicas, { ...onNetwork("w1"), endpoint: undefined });
    sim.service("a", spec(6));
    sim.run(5_000);
    assert.equal(sim.live("a").length, 4);
    const stuck = () => sim.view.tasksInState(TaskState.TASK_STATE_NEW).map((t) => t.status!.err);
    assert.deepEqual(new Set(stuck()), new Set(["no address is left on network small (10.5.0.0/29)"]));
    sim.service("a", spec(3));
    sim.run(5_000);
    sim.service("b", aServiceSpec("b", 1, { ...onNetwork("w1"), endpoint: { mode: "dnsrr", ports: [] } }));
    sim.run(5_000);
    assert.equal(sim.live("b").length, 1);
    sim.service("c", aServiceSpec("c", 1, onNetwork("gone")));
    sim.run(5_000);
    assert.deepEqual(stuck(), ["network gone not found"]);
  });
});
