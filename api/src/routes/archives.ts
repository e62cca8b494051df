import type { IncomingMessage } from "node:http";
import { CreelError } from "@creel/shared";
import type { Progress } from "@creel/shared/gen/engine/v1/engine.ts";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { ApiContext } from "../context.ts";
import { sendArchive, takeArchive, withArchiveBodies } from "../http/archive.ts";
import { flag, type Query, text, texts } from "../http/query.ts";
import { errorLine, openStream, whenGone, writeLine } from "../http/stream.ts";

/** Images that come and go as archives; their bytes go straight between the client's socket and the engine's. */
export function archiveRoutes(app: FastifyInstance, context: ApiContext): void {
  const { images } = context.engine;

  withArchiveBodies(app, (scope) => {
    scope.post<{ Querystring: Query }>("/images/load", async (request, reply) => {
      const quiet = flag(request.query, "quiet");
      const signal = whenGone(reply.raw);
      await receive(images.load({ quiet }, { signal }), request.raw, reply);
    });

    scope.post<{ Querystring: Query }>("/images/create", async (request, reply) => {
      const { query } = request;
      const source = text(query, "fromSrc");
      if (text(query, "fromImage") !== "") throw cannotPull(query);
      if (source === "")
        throw new CreelError("invalid_parameter", { message: "either fromImage or fromSrc must be given" });
      if (source !== "-") {
        throw new CreelError("unsupported", {
          message: `cannot import from ${source}: fetch the archive first, then import it from a file or standard input`,
        });
      }
      const { repo, tag } = splitRepo(text(query, "repo"), text(query, "tag"));
      const progress = images.import(
        {
          repo,
          tag,
          message: text(query, "message"),
          changes: texts(query, "changes"),
          platform: text(query, "platform"),
        },
        { signal: whenGone(reply.raw) },
      );
      await receive(progress, request.raw, reply);
    });
  });

  app.get<{ Querystring: Query }>("/images/get", async (request, reply) => {
    await saveImages(
      context,
      texts(request.query, "names").flatMap((name) => name.split(",")),
      reply,
    );
  });
}

/** Sends a `docker save` archive of the named images. */
export async function saveImages(context: ApiContext, refs: string[], reply: FastifyReply): Promise<void> {
  await sendArchive(reply, (options) => context.engine.images.save({ refs }, options));
}

/**
 * Pours the request's body into the engine and tells its progress. What fails before the first line is an error
 * answer; what fails after it is an error line, as Docker's clients expect.
 */
async function receive(
  progress: AsyncIterable<Progress>,
  body: IncomingMessage,
  reply: FastifyReply,
): Promise<void> {
  const say = (line: unknown) => {
    if (!reply.sent) openStream(reply, "application/json");
    return writeLine(reply.raw, line);
  };
  try {
    for await (const line of takeArchive(progress, body)) if (!(await say(toMessage(line)))) return;
    if (!reply.sent) openStream(reply, "application/json");
    reply.raw.end();
  } catch (error) {
    // what the client still sends is read and thrown away: closing the connection could take the answer from it
    if (!reply.sent) throw error;
    await say(errorLine(error));
    reply.raw.end();
  }
}

function toMessage(line: { stream: string; id: string; status: string; current: number; total: number }) {
  if (line.stream !== "") return { stream: line.stream };
  const detail =
    line.current > 0 || line.total > 0 ? { current: line.current, total: line.total || undefined } : {};
  return { status: line.status, progressDetail: detail, id: line.id || undefined };
}

function splitRepo(repo: string, tag: string): { repo: string; tag: string } {
  const at = repo.lastIndexOf(":");
  if (tag !== "" || at <= repo.lastIndexOf("/")) return { repo, tag };
  return { repo: repo.slice(0, at), tag: repo.slice(at + 1) };
}

function cannotPull(query: Query): CreelError {
  const tag = text(query, "tag");
  const name = text(query, "fromImage") + (tag === "" ? "" : tag.includes(":") ? `@${tag}` : `:${tag}`);
  return new CreelError("unsupported", {
    message: `cannot pull ${name}: this version of Creel does not pull from registries; bring the image here with "docker load" or "docker import"`,
  });
}
