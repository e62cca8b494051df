import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { bodyOf, maybe, StringMap } from "../http/body.ts";
import { toPlan } from "../map/plan.ts";
import { PlanningApi } from "../planning.ts";
import { Type } from "../schema/type.ts";
import { networkRoutes } from "./networks.ts";
import { nodeRoutes } from "./nodes.ts";
import { serviceRoutes } from "./services.ts";

const MAX_REQUESTS = 1_000;
const MAX_PATH = 4_096;
const PLANNED_ROUTES = [networkRoutes, nodeRoutes, serviceRoutes];

const readPlan = bodyOf(
  Type.Object({
    Requests: Type.Array(
      Type.Object({
        Method: Type.Union([Type.Literal("POST"), Type.Literal("DELETE")]),
        Path: Type.String({ maxLength: MAX_PATH }),
        Query: maybe(StringMap),
        Body: Type.Optional(Type.Unknown()),
      }),
    ),
  }),
);

/** What requests to this API would do to the cluster's services, tried on a copy of its state. */
export function planRoutes(app: FastifyInstance, context: ApiContext): void {
  app.post("/creel/plan", async (request) => {
    const { Requests } = readPlan(request.body);
    if (Requests.length > MAX_REQUESTS) {
      throw new CreelError("invalid_parameter", {
        message: `a plan takes ${MAX_REQUESTS} requests at most, not ${Requests.length}`,
      });
    }
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
