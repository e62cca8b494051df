import { unsettled } from "../checks/settled.ts";
import { World } from "../world.ts";
import type { Scenario } from "./mod.ts";

const CHANGES = 1_000;

/**
 * Under many changes, messages that came late and twice set a follower's progress back between two appends; they were
 * put together as one, and the leader took more for acknowledged than the follower had.
 */
export const messagesOutOfOrder: Scenario = {
  name: "messages that come late and twice do no harm to the log",
  async play() {
    const world = new World(3, { managers: 3, workers: 4 });
    await world.setUp();
    Object.assign(world.network, { loss: 0.05, doubles: 0.3, slowness: 8 });
    for (let i = 0; i < CHANGES && world.failure === undefined; i++) {
      const leader = world.leader();
      const nodes = leader?.view().nodes() ?? [];
      const node = nodes[i % nodes.length];
      if (leader && node) {
        const spec = { ...node.spec!, labels: { change: String(i) } };
        const value = { id: node.id, version: node.meta!.version, spec };
        leader.control({ kind: { $case: "updateNode", value } }).catch(() => {});
      }
      await world.pass(3 * world.random.next());
    }
    world.network.calm();
    await world.pass(60_000, () => unsettled(world) === undefined);
    const why = unsettled(world);
    if (why !== undefined) world.fail(why);
    world.end();
    return world;
  },
};
