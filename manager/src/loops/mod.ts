import type { NamedLoop } from "./loop.ts";

export { type Loop, type LoopContext, type LoopResult, type NamedLoop, runLoops } from "./loop.ts";

/** All loops and the scheduler, with fresh caches: one set for each term of leadership. */
export function createLoops(): NamedLoop[] {
  return [];
}
