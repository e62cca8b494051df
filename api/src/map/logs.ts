import { CreelError } from "@creel/shared";
import type { LogsRequest } from "@creel/shared/gen/engine/v1/container.ts";
import { flag, type Query, text } from "../http/query.ts";
import { parsePoint } from "../http/time.ts";

/** The engine's request for the query of a `logs` route. */
export function logsRequest(id: string, query: Query): LogsRequest {
  const stdout = flag(query, "stdout");
  const stderr = flag(query, "stderr");
  if (!stdout && !stderr) {
    throw new CreelError("invalid_parameter", {
      message: "Bad parameters: you must choose at least one stream",
    });
  }
  const tail = text(query, "tail");
  return {
    id,
    follow: flag(query, "follow"),
    stdout,
    stderr,
    sinceNanos: parsePoint("since", text(query, "since")),
    untilNanos: parsePoint("until", text(query, "until")),
    timestamps: flag(query, "timestamps"),
    // all of it where that is no number, as Docker has it
    tail: /^\d{1,15}$/.test(tail) ? Number(tail) : -1,
    details: flag(query, "details"),
  };
}
