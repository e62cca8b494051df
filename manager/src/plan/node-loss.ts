import { type Clock, type Millis, type Plan, type Random, sleep, type Unplaced } from "@creel/shared";
import { type Node, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isDown } from "../loops/node-fitness.ts";
import { isLive, type Store, type StoreView } from "../store/mod.ts";
import { unplaced } from "./difference.ts";
import { Rehearsal } from "./rehearsal.ts";

/** The time that all nodes together may take. */
const MAX_WORK_MS = 5_000;
/** A loss is decided on in fewer rounds: tasks stopped, made, given addresses, placed. */
const MAX_ROUNDS = 12;

/** Plays the loss of each node that runs tasks, those with the most first: what finds no other place. */
export async function withoutEachNode(
  store: Store,
  ports: { clock: Clock; random: Random },
): Promise<Plan["withoutANode"]> {
  const end = ports.clock.now() + MAX_WORK_MS;
  const loads = loadsOf(store.view());
  const losses: Plan["withoutANode"]["losses"] = [];
  let checked = 0;
  for (const node of loads) {
    if (checked > 0 && ports.clock.now() >= end) break;
    const left = without(store, node, ports);
    if (left.length > 0) losses.push({ nodeId: node.id, unplaced: left });
    checked++;
    await sleep(ports.clock, 0);
  }
  return { fits: losses.length === 0, checked, nodes: loads.length, losses };
}

function loadsOf(view: StoreView): Node[] {
  return view
    .nodes()
    .filter((node) => !isDown(node))
    .map((node) => ({ node, tasks: view.recordsOnNode(node.id).filter(isLive).length }))
    .filter(({ tasks }) => tasks > 0)
    .sort((a, b) => b.tasks - a.tasks)
    .map(({ node }) => node);
}

function without(store: Store, node: Node, ports: { clock: Clock; random: Random }): Unplaced[] {
  const before = new Set(unplaced(store.view()).map((task) => task.id));
  const rehearsal = new Rehearsal(store.fork(), ports);
  rehearsal.apply([
    {
      kind: {
        $case: "setNodeStatus",
        value: {
          nodeId: node.id,
          status: lost(node, ports.clock.now()),
          description: undefined,
          dataPathAddr: "",
        },
      },
    },
  ]);
  for (let round = 0; round < MAX_ROUNDS && rehearsal.round() === undefined; round++);
  const found = new Map<string, Unplaced>();
  for (const task of unplaced(rehearsal.view)) {
    if (before.has(task.id)) continue;
    const { serviceId } = task;
    const known = found.get(serviceId);
    if (known) known.tasks++;
    else found.set(serviceId, { serviceId, serviceName: task.group.serviceName, tasks: 1, reason: task.err });
  }
  return [...found.values()];
}

function lost(node: Node, since: Millis): Node["status"] {
  return { state: NodeState.NODE_STATE_DOWN, message: "lost", addr: node.status?.addr ?? "", since };
}
