import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";

/**
 * Kinds of objects of which this version makes none: there is nothing to list or to find, and clients that look through
 * all kinds (`docker inspect NAME`) go on to the next.
 */
export function absentRoutes(app: FastifyInstance): void {
  app.get("/plugins", () => []);
  // what `docker system prune` asks for among others
  app.post("/build/prune", () => ({ CachesDeleted: null, SpaceReclaimed: 0 }));
  app.get<{ Params: { "*": string } }>("/plugins/*", (request, reply) => {
    const [, name] = /^(.+)\/json$/.exec(request.params["*"]) ?? [];
    if (name === undefined) return reply.callNotFound();
    throw new CreelError("no_such_plugin", { name });
  });
}
