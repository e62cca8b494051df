import { Acknowledged } from "./checks/acknowledged.ts";
import { unsettled } from "./checks/settled.ts";
import { SlotWatch } from "./checks/slots.ts";
import { Faults } from "./faults.ts";
import { Users } from "./users.ts";
import { type Size, World } from "./world.ts";

const LOOK_MS = 1_000;
/** Once nothing disturbs it any more, the cluster is as it is wanted within it. */
const SETTLE_MS = 300_000;

/** What came of a run. */
export interface Outcome {
  seed: number;
  /** What went wrong; undefined when all held. */
  failure: string | undefined;
  /** What happened, in words. */
  trace: string[];
  digest: string;
  events: number;
  entries: number;
  acknowledged: number;
}

/** One simulated life of a cluster: `minutes` of commands and faults, then peace until all is as it is wanted. */
export async function simulate(seed: number, minutes: number): Promise<Outcome> {
  const world = new World(seed, sizeOf(seed));
  const fail = (what: string) => world.fail(what);
  const stray = (error: unknown) =>
    world.fail(`nobody caught: ${error instanceof Error ? error.stack : error}`);
  process.on("unhandledRejection", stray);
  const acknowledged = new Acknowledged(world.watch, fail);
  try {
    await live(world, minutes, acknowledged, new SlotWatch(world.watch, fail));
  } catch (error) {
    stray(error);
  } finally {
    process.off("unhandledRejection", stray);
    world.end();
  }
  return {
    seed,
    failure: world.failure,
    trace: world.trace.lines,
    digest: world.trace.digest(),
    events: world.time.events,
    entries: world.watch.count,
    acknowledged: acknowledged.count,
  };
}

async function live(
  world: World,
  minutes: number,
  acknowledged: Acknowledged,
  slots: SlotWatch,
): Promise<void> {
  await world.setUp();
  const users = new Users(world, acknowledged);
  const faults = new Faults(world);
  const look = () => {
    slots.look(world.machines, world.leader() !== undefined, world.time.now);
    world.time.after(LOOK_MS, look);
  };
  look();
  users.start();
  faults.start();
  await world.pass(minutes * 60_000);
  users.stop();
  faults.stop();
  world.trace.say("CHECK", "peace: everything is to come to rest");
  let open = false;
  void users.openAllNodes().then(() => {
    open = true;
  });
  let why: string | undefined = "it was not looked at";
  const rest = () => {
    why = open ? unsettled(world) : "not all nodes are wanted yet";
    return why === undefined;
  };
  for (let waited = 0; waited < SETTLE_MS && !rest() && world.failure === undefined; waited += LOOK_MS)
    await world.pass(LOOK_MS);
  if (why !== undefined) world.fail(`after ${SETTLE_MS / 1000} s of peace ${why}`);
  const view = world.view();
  if (view) acknowledged.compare(view);
}

/** One to five managers, mostly three. */
function sizeOf(seed: number): Size {
  const managers = [3, 3, 3, 5, 1, 2, 3, 3, 3, 4][seed % 10]!;
  return { managers, workers: 2 + (seed % 5) };
}
