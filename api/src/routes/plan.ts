import type { FastifyInstance } from "fastify";
import Type from "typebox";
import type { ApiContext } from "../context.ts";
import { bodyOf, maybe } from "../http/body.ts";
import { toPlan } from "../map/plan.ts";
import { PlanningApi } from "../planning.ts";
import { networkRoutes } from "./networks.ts";
import { nodeRoutes } from "./nodes.ts";
import { serviceRoutes } from "./services.ts";

const MAX_REQUESTS = 1_000;
const PLANNED_ROUTES = [networkRoutes, nodeRoutes, serviceRoutes];

const readPlan = bodyOf(
  Type.Object({
    Requests: Type.Array(
      Type.Object({
        Method: Type.Union([Type.Literal("POST"), Type.Literal("DELETE")]),
        Path: Type.String({ pattern: "^/" }),
        Query: maybe(Type.Record(Type.String(), Type.String())),
        Body: Type.Optional(Type.Unknown()),
      }),
      { maxItems: MAX_REQUESTS },
    ),
  }),
);

/** What requests to this API would do to the cluster's services, tried on a copy of its state. */
export function planRoutes(app: FastifyInstance, context: ApiContext): void {
  app.post("/creel/plan", async (request) => {
    const { Requests } = readPlan(request.body);
    const plan = await context.cluster.plan(async (planned) => {
      const api = new PlanningApi(context, planned, PLANNED_ROUTES);
      try {
        for (const each of Requests) await api.send(each);
      } finally {
        await api.close();
      }
    });
    return toPlan(plan);
  });
}
