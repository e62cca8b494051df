import { type ErrorCode, type ErrorEntry, registry } from "./registry.ts";

/** The one error of Creel: a code of the registry, filled with what it speaks of. */
export class CreelError extends Error {
  readonly code: ErrorCode;
  /** HTTP status of the REST API. */
  readonly status: number;
  /** gRPC status code (number). */
  readonly grpc: number;
  /** What the person can do; empty where the message says it. */
  readonly hint: string;

  constructor(code: ErrorCode, params: Record<string, string | number> = {}, options?: { cause?: unknown }) {
    const entry: ErrorEntry = registry[code];
    const fill = (text: string) =>
      text.replace(/\{(\w+)\}/g, (whole, name: string) => `${params[name] ?? whole}`);
    super(fill(entry.text), options);
    this.name = "CreelError";
    this.code = code;
    this.status = entry.status;
    this.grpc = entry.grpc;
    this.hint = fill(entry.hint ?? "");
  }

  /** An error of that code whose text came ready made from another process. */
  static withText(code: ErrorCode, text: string, cause?: unknown): CreelError {
    const error = new CreelError(code, {}, { cause });
    error.message = text;
    return error;
  }
}

/** Whether `error` is of the registry, and of that code if one is given. */
export function isCreelError(error: unknown, code?: ErrorCode): error is CreelError {
  return error instanceof CreelError && (code === undefined || error.code === code);
}
