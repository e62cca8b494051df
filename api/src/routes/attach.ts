import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { takeSocket } from "../http/hijack.ts";
import { connectBulk } from "../http/join.ts";
import { flag, type Query, text } from "../http/query.ts";
import { RAW_STREAM } from "../http/stream.ts";
import { type Hijack, serveHijack } from "../http/upgrade.ts";

/** Attaches to a container's streams, before the client is told: it starts the container when it is. */
export async function attachContainer(context: ApiContext, id: string, query: Query): Promise<Hijack> {
  const { socket, raw } = await context.engine.containers.attach({
    id,
    stdin: flag(query, "stdin"),
    stdout: flag(query, "stdout"),
    stderr: flag(query, "stderr"),
    logs: flag(query, "logs"),
    stream: flag(query, "stream"),
    detachKeys: text(query, "detachKeys"),
  });
  const engine = await connectBulk(socket);
  return { raw, open: async () => engine };
}

export function attachRoutes(app: FastifyInstance, context: ApiContext): void {
  app.post<{ Params: { id: string }; Querystring: Query }>(
    "/containers/:id/attach",
    async (request, reply) => {
      const hijack = await attachContainer(context, request.params.id, request.query);
      await serveHijack(takeSocket(reply, RAW_STREAM), hijack);
    },
  );
}
