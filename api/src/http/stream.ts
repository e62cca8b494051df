import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type CreelError, messageOf } from "@creel/shared";
import type { FastifyReply } from "fastify";

/** Media types of streams of output. */
export const RAW_STREAM = "application/vnd.docker.raw-stream";
export const MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream";

/** Begins an answer that is written piece by piece, and sends its headers at once. */
export function openStream(reply: FastifyReply, contentType: string): ServerResponse {
  reply.hijack();
  const { raw } = reply;
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) raw.setHeader(name, value);
  raw.setHeader("content-type", contentType);
  raw.writeHead(reply.statusCode);
  raw.flushHeaders();
  return raw;
}

/** Sends `source` as the body; ends it when the client goes away. */
export async function sendStream(reply: FastifyReply, contentType: string, source: Readable): Promise<void> {
  const raw = openStream(reply, contentType);
  try {
    await pipeline(source, raw);
  } catch {
    source.destroy();
    raw.destroy();
  }
}

/** Writes one JSON line; resolves when the client can take more, false when it is gone. */
export function writeLine(response: ServerResponse, value: unknown): Promise<boolean> {
  if (response.destroyed || response.writableEnded) return Promise.resolve(false);
  if (response.write(`${JSON.stringify(value)}\r\n`)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve(!response.destroyed);
    };
    response.once("drain", done);
    response.once("close", done);
  });
}

/** A failure within a progress stream, as Docker's clients read it. */
export function errorLine(error: unknown): unknown {
  const message = messageOf(error);
  return { errorDetail: { code: (error as CreelError).status ?? 500, message }, error: message };
}

/** A signal that aborts when the client of `response` goes away. */
export function whenGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  if (response.destroyed) controller.abort();
  return controller.signal;
}
