import type { Millis } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { ChangeSet, StoreView } from "../store/mod.ts";

/** What a loop may know beside the store. */
export interface LoopContext {
  now: Millis;
  /** A fresh id for a task; apply makes none. */
  newId(): string;
}

/** What is to be done, and when the loop wants to be called again though nothing changed. */
export interface LoopResult {
  actions: Action[];
  wakeAt?: Millis;
}

/**
 * Keeps one thing true. It sees the store and what changed since it was last called, and answers with actions. It may
 * hold back what it can compute again from the view (a cache), nothing else.
 */
export type Loop = (view: StoreView, changed: ChangeSet, context: LoopContext) => LoopResult;

/** A loop, with the name that logs call it by. */
export interface NamedLoop {
  readonly name: string;
  readonly run: Loop;
}

/**
 * One round: all loops on the same view. The caller proposes the actions in order and waits until each is applied (or
 * lost) before the next round, whose `changed` is all that was applied since this one's view. `wakeAt` takes the place
 * of that of the round before.
 */
export function runLoops(
  loops: readonly NamedLoop[],
  view: StoreView,
  changed: ChangeSet,
  context: LoopContext,
): LoopResult {
  const actions: Action[] = [];
  let wakeAt = Number.POSITIVE_INFINITY;
  for (const loop of loops) {
    const result = loop.run(view, changed, context);
    for (const action of result.actions) actions.push(action);
    if (result.wakeAt !== undefined) wakeAt = Math.min(wakeAt, result.wakeAt);
  }
  return wakeAt === Number.POSITIVE_INFINITY ? { actions } : { actions, wakeAt };
}
