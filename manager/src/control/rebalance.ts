import { CreelError } from "@creel/shared";
import type { StartRebalance } from "@creel/shared/gen/cluster/v1/control.ts";
import { planMoves } from "../scheduler/mod.ts";
import type { Change, ControlContext } from "./change.ts";
import { invalid } from "./names.ts";

const MAX_MOVES = 10_000;

/** Chooses the tasks that are to move; the rebalance loop moves them. */
export function startRebalance({ max, dryRun }: StartRebalance, { view, clock }: ControlContext): Change {
  if (!(max >= 1 && max <= MAX_MOVES)) {
    throw invalid(`max must be between 1 and ${MAX_MOVES}: it is the number of tasks that may move`);
  }
  const cluster = view.cluster();
  if (!dryRun && cluster.rebalance) {
    throw new CreelError("rebalance_under_way", { moves: cluster.rebalance.moves.length });
  }
  const now = clock.now();
  const moves = planMoves(view, max, now);
  const rebalance = { moves, startedAt: now };
  const begin = !dryRun && moves.length > 0;
  return {
    actions: begin ? [{ kind: { $case: "setRebalance", value: { rebalance } } }] : [],
    id: cluster.id,
    warnings: [],
    moves,
  };
}
