import assert from "node:assert/strict";
import { AttachmentWish } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { AssignmentTracker } from "../../src/dispatcher/assignments.ts";
import { judgeAttachments } from "../../src/dispatcher/attachments.ts";
import { Endpoints } from "../../src/dispatcher/endpoints.ts";
import { ToldNetwork } from "../harness/agent.ts";
import { Sim } from "../support/sim.ts";
import { aNetwork, putNetwork } from "../support/specs.ts";

describe("dispatcher/attachments", () => {
  let sim: Sim;
  let endpoints: Endpoints;
  const wish = (id: string, more: Partial<AttachmentWish> = {}) =>
    AttachmentWish.fromPartial({ id, network: "mesh", names: [id], container: id, ...more });

  /** What a node's report comes to once the loops have done their part. */
  function report(nodeId: string, ...attachments: AttachmentWish[]): string[] {
    const judged = judgeAttachments({ attachments }, nodeId, sim.view);
    sim.apply({ kind: { $case: "setAttachments", value: { nodeId, attachments: judged.attachments } } });
    sim.settle();
    return judged.refusals.map(({ code }) => code);
  }
  const addresses = (nodeId: string) => sim.view.node(nodeId)!.attachments.map(({ address }) => address);

  beforeEach(() => {
    sim = new Sim();
    endpoints = new Endpoints();
    sim.onApply = (view, changed) => endpoints.apply(changed, view);
    sim.nodes("n1", "n2");
    const mesh = aNetwork("w1", "mesh");
    sim.apply(
      putNetwork({ ...mesh, spec: { ...mesh.spec!, attachable: true, subnet: "10.5.0.0/29" } }),
      putNetwork(aNetwork("w2", "closed")),
    );
    sim.settle();
  });

  it("each gets an address of its own and keeps it; what is not named any more gives its own back", () => {
    assert.deepEqual(report("n1", wish("a"), wish("b", { network: "w1" })), []);
    assert.deepEqual(report("n2", wish("c")), []);
    const [a, b] = addresses("n1");
    assert.deepEqual([a, b, ...addresses("n2")], ["10.5.0.2", "10.5.0.3", "10.5.0.4"]);
    const { version } = sim.view.node("n1")!.meta!;
    report("n1", wish("b", { names: ["b", "other"] }));
    assert.deepEqual(addresses("n1"), [b]);
    assert.equal(
      sim.view.node("n1")!.meta!.version,
      version,
      "nobody's update of the node is out of sequence",
    );
    report("n2", wish("c"), wish("d", { address: a! }));
    assert.equal(addresses("n2")[1], a);
  });

  it("are refused, or told why there is no address, until there is one", () => {
    assert.deepEqual(report("n1", wish("a", { network: "closed" }), wish("b", { network: "none" })), [
      "network_not_attachable",
      "no_such_network",
    ]);
    assert.deepEqual(addresses("n1"), []);
    report("n1", ...["a", "b", "c", "d", "e"].map((id) => wish(id)));
    report("n2", wish("f"), wish("g", { address: "10.5.0.7" }));
    const errors = () => sim.view.node("n2")!.attachments.map(({ err }) => err);
    assert.match(errors()[0]!, /no address is left on network mesh/);
    assert.match(errors()[1]!, /10\.5\.0\.7 is taken, or not of the network/);
    report("n1");
    assert.deepEqual([errors()[0], addresses("n2")[0] !== ""], ["", true]);
  });

  it("hold their network, and go with their node", () => {
    report("n1", wish("a"));
    const remove = { kind: { $case: "removeNetwork", value: "w1" } } as const;
    assert.equal(sim.apply(remove).refusals[0]?.code, "network_attached");
    sim.apply({ kind: { $case: "removeNode", value: "n1" } });
    assert.deepEqual(sim.apply(remove).refusals, []);
  });

  it("are told to their node with the network, and to others as a place and names", () => {
    report("n2", wish("x"));
    const [own, other] = [new AssignmentTracker("n1"), new AssignmentTracker("n2")];
    assert.deepEqual(own.next(sim.view, endpoints)!.attachments, { attachments: [] });
    other.next(sim.view, endpoints);
    report("n1", wish("a", { names: ["a", "alias"] }));
    const message = own.next(sim.view, endpoints)!;
    assert.deepEqual(
      message.attachments!.attachments.map(({ id, address }) => [id, address]),
      [["a", addresses("n1")[0]]],
    );
    assert.deepEqual(
      message.setNetworks.map(({ network }) => network!.id),
      ["w1"],
    );
    assert.equal(own.next(sim.view, endpoints), undefined);
    const told = new ToldNetwork();
    const hear = () => {
      for (const request of other.next(sim.view, endpoints)?.endpoints ?? []) told.apply(request);
    };
    hear();
    assert.deepEqual(told.balancers.get("a")?.names, ["a", "alias"]);
    assert.equal(told.peers.get(addresses("n1")[0]!)?.vtep, sim.view.node("n1")!.dataPathAddr);
    report("n1", wish("a", { names: [] }));
    hear();
    assert.deepEqual(
      [told.balancers.has("a"), told.peers.size],
      [false, 1],
      "stopped: no names, but its place",
    );
    report("n1");
    hear();
    assert.equal(told.peers.size, 0);
    assert.deepEqual(own.next(sim.view, endpoints)!.removeNetworks, ["w1"]);
  });
});
