import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { CreelError } from "./error.ts";
import { type ErrorCode, registry } from "./registry.ts";

const CODE = "creel-code";
const PARAM = "creel-param-";
const MAX_TEXT = 2_500;

/** A gRPC error whose metadata carry the code, so that {@link fromGrpc} makes the same error on the other side. */
export function toGrpc(error: unknown, params: Record<string, string> = {}): Partial<ServiceError> {
  const own = error instanceof CreelError ? error : new CreelError("internal", { message: messageOf(error) });
  const metadata = new Metadata();
  metadata.set(CODE, own.code);
  for (const [name, value] of Object.entries(params)) metadata.set(PARAM + name, value);
  // it goes in a header, which has a bound
  const text = own.message.length > MAX_TEXT ? `${own.message.slice(0, MAX_TEXT)}...` : own.message;
  return { code: own.grpc, details: text, message: text, metadata };
}

/** The registry's error behind a gRPC one; `what` names the other side where the transport itself failed. */
export function fromGrpc(error: unknown, what: string): CreelError {
  if (error instanceof CreelError) return error;
  const grpc = error as Partial<ServiceError>;
  const code = grpc.metadata?.get(CODE)[0]?.toString();
  const text = grpc.details || messageOf(error);
  if (code !== undefined && code in registry) return CreelError.withText(code as ErrorCode, text, error);
  if (grpc.code === status.DEADLINE_EXCEEDED)
    return CreelError.withText("timeout", `${what}: ${text}`, error);
  if (grpc.code === status.UNIMPLEMENTED)
    return new CreelError("peer_outdated", { addr: what, message: text }, { cause: error });
  if (grpc.code === status.UNAVAILABLE) {
    const [, why = text] = /Last error: (?:Error: )?(.*?)\.? Resolution note:/s.exec(text) ?? [];
    return new CreelError("remote_unreachable", { addr: what, message: why }, { cause: error });
  }
  return new CreelError("internal", { message: `${what}: ${text}` }, { cause: error });
}

/** The words of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
