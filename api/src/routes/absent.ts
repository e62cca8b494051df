import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";

type WithId = { Params: { id: string } };

/**
 * Kinds of objects of which this version makes none: there is nothing to list or to find, and clients that look through
 * all kinds (`docker inspect NAME`, `docker stack deploy`) go on to the next.
 */
export function absentRoutes(app: FastifyInstance, { cluster }: ApiContext): void {
  app.get("/plugins", () => []);
  app.get<{ Params: { "*": string } }>("/plugins/*", (request, reply) => {
    const [, name] = /^(.+)\/json$/.exec(request.params["*"]) ?? [];
    if (name === undefined) return reply.callNotFound();
    throw new CreelError("no_such_plugin", { name });
  });
  for (const [path, code] of [
    ["/secrets", "no_such_secret"],
    ["/configs", "no_such_config"],
  ] as const) {
    app.get(path, async () => {
      await cluster.view();
      return [];
    });
    app.get<WithId>(`${path}/:id`, async (request) => {
      await cluster.view();
      throw new CreelError(code, { id: request.params.id });
    });
  }
}
