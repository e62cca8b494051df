import type { IncomingMessage } from "node:http";
import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import { type Schema, Type } from "../schema/type.ts";

/** The largest JSON body that is taken. */
export const MAX_BODY = 10 << 20;
/** So much of a body that is too large is read all the same. */
const MAX_DRAINED = 256 << 20;
/** A JSON body must be here after this time. */
const BODY_TIME = 30_000;
/** How long a connection is kept for the answer to a body that did not end. */
const LINGER = 1_000;

/** A field that a client may leave out or give as null, as Go's clients do. */
export function maybe<T>(schema: Schema<T>) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}

/** The longest name or value of a label, a driver's option, a log option. */
const MAX_LABEL = 64 << 10;

/** Strings by name. */
export const StringMap = Type.Record(
  Type.String({ maxLength: MAX_LABEL }),
  Type.String({ maxLength: MAX_LABEL }),
);

/** A check of bodies against `schema`; what is wrong is named with its place. An absent body counts as {}. */
export function bodyOf<T>(schema: Schema<T>): (body: unknown) => T {
  return (body) => {
    const value = body ?? {};
    const wrong = schema.check(value);
    if (!wrong) return value as T;
    throw new CreelError("invalid_parameter", {
      message: `invalid request: ${wrong.place || "the body"} ${wrong.text}`,
    });
  };
}

/**
 * Takes any content type as JSON, within {@link MAX_BODY} and the time limit; an empty body is none. What is too large
 * is read on without being kept, to a bound: a client that still writes does not see an answer.
 */
export function parseJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (request, payload, done) => {
    let parts: Buffer[] = [];
    let size = 0;
    let late = false;
    const finish = (error: Error | null, value?: unknown) => {
      clearTimeout(timer);
      payload.removeAllListeners("data");
      payload.removeAllListeners("end");
      if (error) payload.resume();
      done(error, value);
    };
    const refuse = () =>
      finish(
        size > MAX_BODY
          ? new CreelError("body_too_large", { max: MAX_BODY })
          : new CreelError("request_too_slow"),
      );
    const timer = setTimeout(() => {
      late = true;
      giveUp(request.raw);
      refuse();
    }, BODY_TIME);
    payload.on("data", (part: Buffer) => {
      size += part.length;
      if (size <= MAX_BODY) parts.push(part);
      else parts = [];
      if (size <= MAX_DRAINED) return;
      giveUp(request.raw);
      refuse();
    });
    payload.once("error", (error) => {
      if (!late) finish(error);
    });
    payload.once("end", () => {
      if (size > MAX_BODY) return refuse();
      try {
        finish(null, parseJson(Buffer.concat(parts).toString()));
      } catch (error) {
        finish(error as Error);
      }
    });
  });
}

/** The rest of this body is not waited for: a moment for the answer, then the connection ends. */
function giveUp(request: IncomingMessage): void {
  setTimeout(() => request.socket.destroy(), LINGER).unref();
}

/** Parses a JSON body; undefined for an empty one. */
export function parseJson(source: string): unknown {
  if (source.trim() === "") return undefined;
  try {
    return JSON.parse(source);
  } catch (error) {
    throw new CreelError("invalid_json", { message: (error as Error).message }, { cause: error });
  }
}
