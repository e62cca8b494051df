import { CreelError } from "@creel/shared";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { ApiContext } from "../context.ts";
import { sendArchive, takeArchive, withArchiveBodies } from "../http/archive.ts";
import { bodyOf } from "../http/body.ts";
import { flag, type Query, text, texts } from "../http/query.ts";
import { whenGone } from "../http/stream.ts";
import { instructionsOf } from "../map/instructions.ts";
import { toPathStat } from "../map/path-stat.ts";
import { CreateContainerSchema } from "../schema/container.ts";

const readConfig = bodyOf(CreateContainerSchema);
/** So long may the layer of a commit take. */
const COMMIT_TIME = 30 * 60_000;
type WithId = { Params: { id: string }; Querystring: Query };

/** A container's files: what it changed, archives of them, files in and out, and images made of them. */
export function containerFileRoutes(app: FastifyInstance, context: ApiContext): void {
  const { containers } = context.engine;

  app.get<WithId>("/containers/:id/changes", async (request) => {
    const { changes } = await containers.changes({ id: request.params.id });
    return changes.length === 0 ? null : changes.map(({ path, kind }) => ({ Path: path, Kind: kind }));
  });

  app.get<WithId>("/containers/:id/export", (request, reply) =>
    sendArchive(reply, (options) => containers.export({ id: request.params.id }, options)),
  );

  const stat = async (path: { id: string; path: string }, reply: FastifyReply) => {
    if (path.path === "")
      throw new CreelError("invalid_parameter", { message: "missing required parameter: path" });
    reply.header("X-Docker-Container-Path-Stat", toPathStat(await containers.statPath(path)));
  };

  app.head<WithId>("/containers/:id/archive", async ({ params, query }, reply) => {
    await stat({ id: params.id, path: text(query, "path") }, reply);
    return reply.code(200).send();
  });

  app.get<WithId>("/containers/:id/archive", async ({ params, query }, reply) => {
    const path = { id: params.id, path: text(query, "path") };
    await stat(path, reply);
    await sendArchive(reply, (options) => containers.readArchive(path, options));
  });

  withArchiveBodies(app, (scope) => {
    scope.put<WithId>("/containers/:id/archive", async ({ params, query, raw }, reply) => {
      const progress = containers.writeArchive(
        {
          id: params.id,
          path: text(query, "path"),
          keepKind: flag(query, "noOverwriteDirNonDir"),
          containerOwner: flag(query, "copyUIDGID"),
        },
        { signal: whenGone(reply.raw) },
      );
      for await (const _line of takeArchive(progress, raw));
      return reply.code(200).send();
    });
  });

  app.post<{ Querystring: Query }>("/commit", async ({ body, query }, reply) => {
    const given = body ? instructionsOf(readConfig(body)) : [];
    const request = {
      id: text(query, "container"),
      repo: text(query, "repo"),
      tag: text(query, "tag"),
      author: text(query, "author"),
      message: text(query, "comment"),
      changes: [...given, ...texts(query, "changes")],
      pause: text(query, "pause") === "" || flag(query, "pause"),
    };
    const { ref } = await containers.commit(request, { timeoutMs: COMMIT_TIME });
    return reply.code(201).send({ Id: ref });
  });
}
