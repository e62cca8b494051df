import type { IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { CreelError } from "@creel/shared";
import type { Progress, ProgressLine } from "@creel/shared/gen/engine/v1/engine.ts";
import type { FastifyInstance, FastifyReply } from "fastify";
import { connectBulk, pour } from "./join.ts";
import { openStream, whenGone } from "./stream.ts";

/** Registers routes whose bodies are archives: they are left to their handlers, as the streams they are. */
export function withArchiveBodies(app: FastifyInstance, register: (scope: FastifyInstance) => void): void {
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
    register(scope);
  });
}

/**
 * Sends the archive that the engine makes. What fails before its first byte is an error answer; after it the connection
 * breaks, so that nobody takes a part for the whole.
 */
export async function sendArchive(
  reply: FastifyReply,
  make: (options: { signal: AbortSignal }) => AsyncIterable<Progress>,
): Promise<void> {
  try {
    for await (const { kind } of make({ signal: whenGone(reply.raw) })) {
      if (kind?.$case !== "socket") continue;
      const socket = await connectBulk(kind.value);
      await pipeline(socket, openStream(reply, "application/x-tar"), { end: false });
    }
  } catch (error) {
    if (!reply.sent) throw error;
    reply.raw.destroy();
    return;
  }
  if (!reply.sent) throw new CreelError("internal", { message: "the engine gave no archive" });
  reply.raw.end();
}

/** Pours a request's body into the engine and gives what it tells meanwhile. */
export async function* takeArchive(
  progress: AsyncIterable<Progress>,
  body: IncomingMessage,
): AsyncGenerator<ProgressLine> {
  try {
    for await (const { kind } of progress) {
      if (kind?.$case === "socket") {
        const socket = await connectBulk(kind.value);
        // the engine notices a body that ends too early, and says it in its own words
        pour(body, socket).catch(() => socket.destroy());
      } else if (kind?.$case === "line") yield kind.value;
    }
  } finally {
    body.unpipe();
    body.resume();
  }
}
