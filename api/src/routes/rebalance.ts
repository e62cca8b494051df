import type { FastifyInstance } from "fastify";
import type { Move } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { bodyOf, maybe } from "../http/body.ts";
import { fromMillis } from "../http/time.ts";
import type { ClusterView } from "../ports.ts";
import { Type } from "../schema/type.ts";

const readRebalance = bodyOf(
  Type.Object({ Max: Type.Integer({ minimum: 1 }), DryRun: maybe(Type.Boolean()) }),
);

/** Moves tasks to emptier nodes: `POST /creel/rebalance` begins, `GET` tells what is still to move. */
export function rebalanceRoutes(app: FastifyInstance, { cluster }: ApiContext): void {
  app.post("/creel/rebalance", async (request) => {
    const { Max, DryRun } = readRebalance(request.body);
    const before = await cluster.view();
    const value = { max: Max, dryRun: DryRun ?? false };
    const { moves } = await cluster.control({ kind: { $case: "rebalance", value } });
    return { Moves: toMoves(before, moves) };
  });

  app.get("/creel/rebalance", async () => {
    const view = await cluster.view({ linearizable: true });
    const under = view.cluster().rebalance;
    return {
      Moves: toMoves(view, under?.moves ?? []),
      StartedAt: under ? fromMillis(under.startedAt) : undefined,
    };
  });
}

function toMoves(view: ClusterView, moves: Move[]): Record<string, unknown>[] {
  const node = (id: string) => ({ ID: id, Hostname: view.node(id)?.description?.hostname || id });
  return moves.map(({ taskId, fromNodeId, toNodeId }) => {
    const task = view.task(taskId);
    return {
      TaskID: taskId,
      ServiceID: task?.serviceId,
      Name: task ? `${task.serviceName}.${task.slot}` : taskId,
      From: node(fromNodeId),
      To: node(toNodeId),
    };
  });
}
