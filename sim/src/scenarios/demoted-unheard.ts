import { NodeRole, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { unsettled } from "../checks/settled.ts";
import { World } from "../world.ts";
import type { Scenario } from "./mod.ts";

/**
 * A manager was demoted, and taken out of the Raft group, while nobody reached it. Nobody spoke to it of Raft any more,
 * and its agent was told nothing, because the managers took its role for what it was called by then.
 */
export const demotedUnheard: Scenario = {
  name: "a manager that is demoted while nobody reaches it is a worker in the end",
  async play() {
    const world = new World(2, { managers: 3, workers: 1 });
    await world.setUp();
    const demoted = world.machines.find((machine) => machine.manager && !machine.manager.leading)!;
    const others = world.machines.filter((machine) => machine !== demoted);
    for (const { name } of others) {
      world.network.cut(name, demoted.name);
      world.network.cut(demoted.name, name);
    }
    await world.pass(
      30_000,
      () => world.view()?.node(demoted.id)?.status?.state === NodeState.NODE_STATE_DOWN,
    );
    const node = world.view()!.node(demoted.id)!;
    const value = {
      id: node.id,
      version: node.meta!.version,
      spec: { ...node.spec!, role: NodeRole.NODE_ROLE_WORKER },
    };
    await world.settle(world.leader()!.control({ kind: { $case: "updateNode", value } }), 10_000);
    await world.pass(30_000, () => world.view()?.node(demoted.id)?.manager === undefined);
    for (const { name } of others) {
      world.network.mend(name, demoted.name);
      world.network.mend(demoted.name, name);
    }
    await world.pass(120_000, () => unsettled(world) === undefined);
    const why = unsettled(world);
    if (why !== undefined) world.fail(why);
    world.end();
    return world;
  },
};
