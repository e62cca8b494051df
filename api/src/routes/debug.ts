import { Session } from "node:inspector/promises";
import { getHeapSnapshot } from "node:v8";
import { CreelError, sleep } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { integer, type Query } from "../http/query.ts";
import { openStream, sendStream, whenGone } from "../http/stream.ts";

const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 300;

/** What a person who runs Creel looks at: figures, where the CPU's time goes, what holds the memory. */
export function debugRoutes(app: FastifyInstance, { clock, metrics }: ApiContext): void {
  let busy = false;
  const alone = async (work: () => Promise<void>) => {
    if (busy)
      throw new CreelError("conflict", { message: "a profile or heap snapshot is being taken already" });
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
    }
  };

  app.get("/metrics", async (_request, reply) => {
    const { contentType, text } = await metrics.render();
    return reply.type(contentType).send(text);
  });

  app.get<{ Querystring: Query }>("/debug/profile", (request, reply) => {
    const seconds = integer(request.query, "seconds", DEFAULT_SECONDS);
    if (!(seconds >= 1 && seconds <= MAX_SECONDS)) {
      throw new CreelError("invalid_parameter", { message: `seconds must be 1 to ${MAX_SECONDS}` });
    }
    return alone(async () => {
      const signal = whenGone(reply.raw);
      const session = new Session();
      session.connect();
      try {
        await session.post("Profiler.enable");
        await session.post("Profiler.start");
        await sleep(clock, seconds * 1000, signal);
        const { profile } = await session.post("Profiler.stop");
        openStream(reply, "application/json").end(JSON.stringify(profile));
      } finally {
        session.disconnect();
      }
    });
  });

  app.get("/debug/heap", (_request, reply) =>
    alone(() => sendStream(reply, "application/json", getHeapSnapshot())),
  );
}
