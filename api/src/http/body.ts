import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { Static, TSchema } from "typebox";
import Type from "typebox";
import { Compile } from "typebox/compile";

/** The largest JSON body that is taken. */
export const MAX_BODY = 10 << 20;
/** A JSON body must be here after this time. */
const BODY_TIME = 30_000;

/** A field that a client may leave out or give as null, as Go's clients do. */
export function maybe<T extends TSchema>(schema: T) {
  return Type.Optional(Type.Union([schema, Type.Null()]));
}

/** Strings by name. */
export const StringMap = Type.Record(Type.String(), Type.String());

/** A check of bodies against `schema`; what is wrong is named with its place. An absent body counts as {}. */
export function bodyOf<T extends TSchema>(schema: T): (body: unknown) => Static<T> {
  let check: ReturnType<typeof Compile<T>> | undefined;
  return (body) => {
    check ??= Compile(schema);
    const value = body ?? {};
    if (check.Check(value)) return value as Static<T>;
    const wrong = [...check.Errors(value)].sort((a, b) => b.instancePath.length - a.instancePath.length)[0];
    const place = wrong?.instancePath.replaceAll("/", ".").replace(/^\./, "") || "the body";
    throw new CreelError("invalid_parameter", {
      message: `invalid request: ${place} ${wrong?.message ?? "is wrong"}`,
    });
  };
}

/** Takes any content type as JSON, within {@link MAX_BODY} and the time limit; an empty body is none. */
export function parseJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, payload, done) => {
    const parts: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(
      () => finish(new CreelError("timeout", { what: "the client", ms: BODY_TIME })),
      BODY_TIME,
    );
    const finish = (error: Error | null, value?: unknown) => {
      clearTimeout(timer);
      payload.removeAllListeners("data");
      if (error) payload.resume();
      done(error, value);
    };
    payload.on("data", (part: Buffer) => {
      size += part.length;
      if (size > MAX_BODY) finish(new CreelError("body_too_large", { max: MAX_BODY }));
      else parts.push(part);
    });
    payload.once("error", (error) => finish(error));
    payload.once("end", () => {
      if (size > MAX_BODY) return;
      try {
        finish(null, parseJson(Buffer.concat(parts).toString()));
      } catch (error) {
        finish(error as Error);
      }
    });
  });
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
