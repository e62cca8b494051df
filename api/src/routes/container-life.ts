import { CreelError, isCreelError } from "@creel/shared";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { integer, type Query, text } from "../http/query.ts";
import { openStream, whenGone, writeLine } from "../http/stream.ts";
import { toRestartPolicy } from "../map/container-spec.ts";
import { toResources } from "../map/resources.ts";
import { UpdateContainerSchema } from "../schema/container.ts";
import { waitForEnd } from "./container-wait.ts";

const readUpdate = bodyOf(UpdateContainerSchema);
type WithId = { Params: { id: string }; Querystring: Query };
const CONDITIONS = ["not-running", "next-exit", "removed"];

/** Starting, stopping and the like: each one call down to the engine. */
export function containerLifeRoutes(app: FastifyInstance, context: ApiContext): void {
  const { containers } = context.engine;
  const done = (reply: FastifyReply) => reply.code(204).send();

  app.post<WithId>("/containers/:id/start", async (request, reply) => {
    await containers.start({ id: request.params.id });
    return done(reply);
  });

  app.post<WithId>("/containers/:id/stop", async (request, reply) => {
    await containers.stop(stopRequest(request.params.id, request.query));
    return done(reply);
  });

  app.post<WithId>("/containers/:id/restart", async (request, reply) => {
    const { id } = request.params;
    try {
      await containers.stop(stopRequest(id, request.query));
    } catch (error) {
      if (!isCreelError(error, "not_modified")) throw error;
    }
    await containers.start({ id });
    const container = await containers.inspect({ id });
    const { labels = {}, image = "" } = container.spec ?? {};
    context.events.tell("container", "restart", container.id, { ...labels, name: container.name, image });
    return done(reply);
  });

  app.post<WithId>("/containers/:id/kill", async (request, reply) => {
    await containers.kill({ id: request.params.id, signal: text(request.query, "signal") });
    return done(reply);
  });

  app.post<WithId>("/containers/:id/pause", async (request, reply) => {
    await containers.pause({ id: request.params.id });
    return done(reply);
  });

  app.post<WithId>("/containers/:id/unpause", async (request, reply) => {
    await containers.unpause({ id: request.params.id });
    return done(reply);
  });

  app.post<WithId>("/containers/:id/update", async (request) => {
    const { RestartPolicy: policy, ...resources } = readUpdate(request.body);
    const { warnings } = await containers.update({
      id: request.params.id,
      resources: toResources(resources),
      restart: policy?.Name ? toRestartPolicy(policy) : undefined,
    });
    return { Warnings: warnings.length > 0 ? warnings : null };
  });

  app.post<WithId>("/containers/:id/rename", async (request, reply) => {
    const name = text(request.query, "name").replace(/^\//, "");
    if (name === "")
      throw new CreelError("invalid_parameter", { message: "Neither old nor new names may be empty" });
    await containers.rename({ id: request.params.id, name });
    return done(reply);
  });

  app.post<WithId>("/containers/:id/resize", async (request, reply) => {
    const { params, query } = request;
    await containers.resize({ id: params.id, height: integer(query, "h", 0), width: integer(query, "w", 0) });
    return reply.code(200).send();
  });

  app.post<WithId>("/containers/:id/wait", async (request, reply) => {
    const condition = text(request.query, "condition") || "not-running";
    if (!CONDITIONS.includes(condition)) {
      throw new CreelError("invalid_parameter", {
        message: `invalid condition: "${condition}"; use one of ${CONDITIONS.join(", ")}`,
      });
    }
    const signal = whenGone(reply.raw);
    // the headers tell the client that what ends from now on is seen
    const armed = () => openStream(reply, "application/json");
    const result = await waitForEnd(context, request.params.id, condition, signal, armed);
    if (!reply.sent) openStream(reply, "application/json");
    if (result) {
      // a container that is gone has nothing left to complain about
      const failure =
        result.error === "" || condition === "removed" ? {} : { Error: { Message: result.error } };
      await writeLine(reply.raw, { StatusCode: result.exitCode, ...failure });
    }
    reply.raw.end();
  });
}

function stopRequest(id: string, query: Query) {
  const given = text(query, "t") !== "";
  return {
    id,
    timeoutSeconds: given ? integer(query, "t", 10) : 0,
    defaultTimeout: !given,
    signal: text(query, "signal"),
  };
}
