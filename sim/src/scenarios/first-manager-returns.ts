import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { World } from "../world.ts";
import type { Scenario } from "./mod.ts";

/**
 * The only manager had taken in a second one and lost its power at once. Its disk held the change, but not that it was
 * agreed on: it took itself for the only one, and led alone while the other could do the same with a third.
 */
export const firstManagerReturns: Scenario = {
  name: "a manager that took in another does not lead alone when it comes back",
  async play() {
    const world = new World(1, { managers: 1, workers: 1 });
    await world.setUp();
    const [first, second] = world.machines;
    const node = world.view()!.node(second!.id)!;
    const spec = { ...node.spec!, role: NodeRole.NODE_ROLE_MANAGER };
    const value = { id: node.id, version: node.meta!.version, spec };
    void first!.manager!.control({ kind: { $case: "updateNode", value } });
    const voters = () => first!.manager!.figures().raft.voters.length;
    await world.pass(30_000, () => voters() === 2);
    if (voters() !== 2) world.fail("the second one was not taken in");
    first!.powerOff(0);
    second!.powerOff();
    const led = world.watch.led.size;
    first!.start();
    await world.pass(30_000);
    if (world.watch.led.size > led) world.fail("the first manager leads alone");
    second!.start();
    await world.pass(60_000, () => world.leader() !== undefined);
    if (!world.leader()) world.fail("both together have no leader");
    world.end();
    return world;
  },
};
