import { scheduler } from "../scheduler/mod.ts";
import { allocator } from "./allocator/allocator.ts";
import { global } from "./global/global.ts";
import { jobs } from "./jobs/jobs.ts";
import type { NamedLoop } from "./loop.ts";
import { nodes } from "./nodes/nodes.ts";
import { reaper } from "./reaper/reaper.ts";
import { rebalance } from "./rebalance/rebalance.ts";
import { replicated } from "./replicated/replicated.ts";
import { restart } from "./restart/restart.ts";
import { rotation } from "./rotation/rotation.ts";
import { trust } from "./trust/trust.ts";
import { updater } from "./updater/updater.ts";

export { type Loop, type LoopContext, type LoopResult, type NamedLoop, runLoops } from "./loop.ts";

/** All loops and the scheduler, with fresh caches: one set for each term of leadership. */
export function createLoops(): NamedLoop[] {
  return [
    { name: "nodes", run: nodes },
    { name: "restart", run: restart },
    { name: "updater", run: updater },
    { name: "rebalance", run: rebalance },
    { name: "replicated", run: replicated },
    { name: "global", run: global },
    { name: "jobs", run: jobs },
    { name: "allocator", run: allocator() },
    { name: "scheduler", run: scheduler() },
    { name: "rotation", run: rotation },
    { name: "reaper", run: reaper() },
    { name: "trust", run: trust },
  ];
}
