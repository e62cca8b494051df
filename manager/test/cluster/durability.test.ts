import assert from "node:assert/strict";
import { TestCluster, until } from "../harness/cluster.ts";
import { replicated } from "../harness/specs.ts";

describe("what was acknowledged", function () {
  this.timeout(90_000);
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
  });

  const create = async (name: string) => {
    const { manager } = await cluster!.leader();
    const value = { spec: replicated(name, 1) };
    return (await manager.control({ kind: { $case: "createService", value } })).id;
  };

  it("is there after all managers were stopped", async () => {
    cluster = await TestCluster.start(3);
    await create("kept");
    const nodes = [...cluster.nodes];
    await Promise.all(nodes.map((node) => node.stop()));
    await Promise.all(nodes.map((node) => node.start()));
    for (const node of nodes) {
      const view = await node.view();
      assert.equal(view.serviceByName("kept")?.spec?.name, "kept");
      assert.equal(view.nodes().length, 3);
    }
    await create("after");
  });

  it("reaches a manager that was away for longer than the log goes back", async () => {
    cluster = await TestCluster.start(3, { snapshotInterval: 20 });
    const [away] = cluster.followers();
    await away!.stop();
    for (let i = 0; i < 60; i++) await create(`s${i}`);
    await away!.start();
    const view = await away!.view();
    assert.equal(view.services().length, 60);
    await create("more");
    await until("the news to arrive", () => away!.manager.view().services().length === 61);
  });

  it("can be read, and waits for its majority, while too few managers are there", async () => {
    cluster = await TestCluster.start(3);
    await create("kept");
    const [first, second, third] = cluster.nodes;
    await Promise.all(cluster.nodes.map((node) => node.stop()));
    await first!.start();
    assert.equal(first!.manager.leading, false);
    assert.equal(first!.manager.leaderAddr(), "");
    await Promise.all([second!.start(), third!.start()]);
    const view = await first!.view();
    assert.ok(view.serviceByName("kept"));
  });
});
