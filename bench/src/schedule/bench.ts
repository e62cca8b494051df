import { scheduler } from "@creel/manager/scheduler";
import { type ChangeSet, fullChange, mergeChanges } from "@creel/manager/store";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Bench } from "../bench.ts";
import { type Measure, measure } from "../measure.ts";
import { makeWorld, type World } from "./world.ts";

/** What swarmkit's own benchmark of its scheduler takes on a machine of the kind (2 cores of an EPYC), in seconds. */
const SWARMKIT = { name: "swarmkit, published" };

interface Case extends World {
  limit: number;
  peer?: number;
}

const CASES: Case[] = [
  { nodes: 1_000, tasks: 10_000, services: 100, demanding: false, limit: 0.1, peer: 2.38 },
  { nodes: 1_000, tasks: 100_000, services: 100, demanding: false, limit: 0.5, peer: 31.5 },
  { nodes: 100_000, tasks: 1_000, services: 1_000, demanding: false, limit: 0.5, peer: 54.6 },
  { nodes: 1_000, tasks: 10_000, services: 100, demanding: true, limit: 0.3 },
  { nodes: 1_000, tasks: 100_000, services: 100, demanding: true, limit: 1.5 },
  { nodes: 100_000, tasks: 1_000, services: 1_000, demanding: true, limit: 1.5 },
];

const GROWTH = [1_000, 10_000, 100_000, 1_000_000];

/** Seconds in which a new leader's scheduler gives every waiting task its node, in the store. */
function place(world: World): number {
  const writer = makeWorld(world);
  const { store } = writer;
  const run = scheduler();
  const { index, time } = store.view();
  const context = { now: time, newId: () => "" };
  const started = performance.now();
  for (let changed: ChangeSet | undefined = fullChange(index, time); changed; ) {
    const { actions } = run(store.view(), changed, context);
    changed = undefined;
    for (const action of actions) {
      const applied = writer.apply(action);
      changed = changed ? mergeChanges(changed, applied) : applied;
    }
  }
  const seconds = (performance.now() - started) / 1000;
  const assigned = store.view().countInState(TaskState.TASK_STATE_ASSIGNED);
  if (assigned !== world.tasks) throw new Error(`${assigned} of ${world.tasks} tasks were placed`);
  return seconds;
}

const nameOf = ({ nodes, tasks, services, demanding }: World) =>
  `${nodes} nodes × ${tasks} tasks of ${services} services${demanding ? ", three constraints, two spread levels, reservations" : ""}`;

/** The scheduler with the store, without network. */
export const schedule: Bench = {
  peers: [],
  needs: [],
  rounds: 5,
  async run({ rounds, say }): Promise<Measure[]> {
    const measures: Measure[] = [];
    for (const each of CASES) {
      say(nameOf(each));
      place(each);
      const samples = Array.from({ length: rounds }, () => place(each));
      measures.push(
        measure(
          { name: nameOf(each), unit: "s", better: "less" },
          samples,
          each.peer === undefined ? undefined : { ...SWARMKIT, samples: [each.peer] },
          { of: "value", atMost: each.limit },
        ),
      );
    }
    for (const tasks of GROWTH) {
      const world: World = { nodes: 1_000, tasks, services: 100, demanding: false };
      say(`growth: ${nameOf(world)}`);
      const samples = Array.from({ length: rounds }, () => (place(world) / tasks) * 1e6);
      measures.push(measure({ name: `growth: ${nameOf(world)}, each`, unit: "µs", better: "less" }, samples));
    }
    return measures;
  },
};
