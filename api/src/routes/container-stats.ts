import { isCreelError } from "@creel/shared";
import type { ContainerStats } from "@creel/shared/gen/engine/v1/container.ts";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { flag, type Query, text } from "../http/query.ts";
import { openStream, whenGone, writeLine } from "../http/stream.ts";
import { toStats } from "../map/stats.ts";

const INTERVAL = 1_000;
type WithId = { Params: { id: string }; Querystring: Query };

/** What containers use: once, or each second until the client or the container is gone. */
export function containerStatsRoutes(app: FastifyInstance, context: ApiContext): void {
  const { containers } = context.engine;

  app.get<WithId>("/containers/:id/stats", async (request, reply) => {
    const { query } = request;
    const signal = whenGone(reply.raw);
    const pause = () =>
      new Promise<void>((resolve) => {
        const timer = context.clock.after(INTERVAL, done);
        signal.addEventListener("abort", done, { once: true });
        function done() {
          timer.cancel();
          signal.removeEventListener("abort", done);
          resolve();
        }
      });
    const first = await containers.stats({ id: request.params.id });
    const { id } = first;
    if (text(query, "stream") !== "" && !flag(query, "stream")) {
      if (flag(query, "one-shot") || !first.running) return toStats(first, undefined);
      await pause();
      return toStats(await containers.stats({ id }), first);
    }
    const raw = openStream(reply, "application/json");
    let before: ContainerStats | undefined;
    let now = first;
    try {
      while (!signal.aborted && (await writeLine(raw, toStats(now, before)))) {
        await pause();
        [before, now] = [now, await containers.stats({ id })];
      }
    } catch (error) {
      if (!isCreelError(error, "no_such_container"))
        context.logger.warn({ error, id }, "no more stats of a container");
    }
    raw.end();
  });
}
