import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { takeSocket } from "../http/hijack.ts";
import { connectBulk, join } from "../http/join.ts";
import { flag, type Query, text } from "../http/query.ts";
import { RAW_STREAM } from "../http/stream.ts";
import type { Hijack } from "../http/upgrade.ts";

/** Attaches to a container's streams; the answer is joined with the client's connection. */
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
  return { engine: await connectBulk(socket), raw };
}

export function attachRoutes(app: FastifyInstance, context: ApiContext): void {
  app.post<{ Params: { id: string }; Querystring: Query }>(
    "/containers/:id/attach",
    async (request, reply) => {
      const { engine } = await attachContainer(context, request.params.id, request.query);
      await join(takeSocket(reply, RAW_STREAM), engine);
    },
  );
}
