import {
  type CallOptions,
  type Client,
  type ClientReadableStream,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
} from "@grpc/grpc-js";
import type { CreelError } from "./errors/error.ts";
import { fromGrpc } from "./errors/grpc.ts";

/** What a caller may say about one call: when it is called off, and how long it may take. */
export interface CallLimits {
  signal?: AbortSignal;
  timeoutMs?: number;
}

/** The methods of a generated `XServer` as promises, server streams as async iterables. */
export type Calls<Server> = {
  [M in keyof Server as string extends M
    ? never
    : number extends M
      ? never
      : M]: Server[M] extends handleUnaryCall<infer Q, infer A>
    ? (request: Q, limits?: CallLimits) => Promise<A>
    : Server[M] extends handleServerStreamingCall<infer Q, infer A>
      ? (request: Q, limits?: CallLimits) => AsyncIterable<A>
      : never;
};

type Translate = (error: unknown) => CreelError;
type Method = MethodDefinition<unknown, unknown>;

/**
 * Calls of one service over `client`, rejecting with errors of the registry (`translate` makes them of gRPC's). Unary calls end after `timeoutMs`
 * (default: `defaultTimeoutMs`); streams end when their reader stops or `signal` aborts.
 */
export function callsOf<Server>(
  client: Client,
  service: Record<string, unknown>,
  what: string,
  defaultTimeoutMs: number,
  translate: Translate = (error) => fromGrpc(error, what),
): Calls<Server> {
  const calls: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries(service)) {
    const method = definition as Method;
    calls[name] = method.responseStream
      ? (request: unknown, limits: CallLimits = {}) =>
          serverStream(client, method, request, limits, translate)
      : (request: unknown, limits: CallLimits = {}) =>
          unary(client, method, request, { timeoutMs: defaultTimeoutMs, ...limits }, translate);
  }
  return calls as Calls<Server>;
}

function unary(client: Client, method: Method, request: unknown, limits: CallLimits, translate: Translate) {
  return new Promise<unknown>((resolve, reject) => {
    const options: CallOptions = limits.timeoutMs ? { deadline: Date.now() + limits.timeoutMs } : {};
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      new Metadata(),
      options,
      (error, answer) => {
        limits.signal?.removeEventListener("abort", cancel);
        if (error) reject(translate(error));
        else resolve(answer);
      },
    );
    const cancel = () => call.cancel();
    if (limits.signal?.aborted) cancel();
    else limits.signal?.addEventListener("abort", cancel);
  });
}

async function* serverStream(
  client: Client,
  method: Method,
  request: unknown,
  limits: CallLimits,
  translate: Translate,
): AsyncGenerator<unknown> {
  const call = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    new Metadata(),
    limits.timeoutMs ? { deadline: Date.now() + limits.timeoutMs } : {},
  ) as ClientReadableStream<unknown>;
  const cancel = () => call.cancel();
  limits.signal?.addEventListener("abort", cancel);
  if (limits.signal?.aborted) cancel();
  try {
    yield* call;
  } catch (error) {
    if (limits.signal?.aborted) return;
    throw translate(error);
  } finally {
    limits.signal?.removeEventListener("abort", cancel);
    call.on("error", () => {});
    call.cancel();
  }
}
