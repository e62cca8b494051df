import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { DaemonError } from "../error.ts";
import type { Host } from "./host.ts";

const API = "/v1.51";
// an import statement would read all that node:http offers, WebSocket too: 40 ms at each start
const builtin = process.getBuiltinModule;

/** A query: undefined values are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

/** The REST API of one daemon. Methods reject with {@link DaemonError}. */
export class Client {
  readonly host: Host;
  constructor(host: Host) {
    this.host = host;
  }

  async get<T>(path: string, query?: Query): Promise<T> {
    return JSON.parse(await text(await this.stream("GET", path, query))) as T;
  }
  /** `signal` gives the request up: it rejects, and its connection is closed. */
  async post<T>(path: string, query?: Query, body?: unknown, signal?: AbortSignal): Promise<T> {
    const answer = await text(await this.stream("POST", path, query, body, signal));
    return (answer === "" ? undefined : JSON.parse(answer)) as T;
  }
  async delete<T>(path: string, query?: Query): Promise<T> {
    const answer = await text(await this.stream("DELETE", path, query));
    return (answer === "" ? undefined : JSON.parse(answer)) as T;
  }

  /** The answer's body as it comes. `body`: JSON of an object, or a stream of a tar archive. */
  stream(
    method: string,
    path: string,
    query?: Query,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const readable = isReadable(body) ? body : undefined;
      const json = body === undefined || readable ? undefined : JSON.stringify(body);
      const req = this.#request(
        method,
        path,
        query,
        {
          ...(json !== undefined && {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(json),
          }),
          ...(readable && { "content-type": "application/x-tar", "transfer-encoding": "chunked" }),
        },
        signal,
      );
      req.on("error", (error) => reject(this.#unreachable(error)));
      req.on("response", (res) => {
        if (res.statusCode! < 400) return resolve(res);
        text(res).then((answer) => reject(new DaemonError(res.statusCode!, messageIn(answer))), reject);
      });
      if (readable) readable.on("error", (error) => req.destroy(error)).pipe(req);
      else req.end(json);
    });
  }

  /** Takes the connection over: both directions are the container's. `raw`: a terminal, no frames. */
  hijack(
    path: string,
    query?: Query,
    body?: unknown,
  ): Promise<{ socket: Socket; raw: boolean; head: Buffer }> {
    return new Promise((resolve, reject) => {
      const json = body === undefined ? undefined : JSON.stringify(body);
      const req = this.#request("POST", path, query, {
        connection: "Upgrade",
        upgrade: "tcp",
        ...(json !== undefined && { "content-type": "application/json" }),
        "content-length": json === undefined ? 0 : Buffer.byteLength(json),
      });
      req.on("error", (error) => reject(this.#unreachable(error)));
      req.on("upgrade", (res, socket, head) => {
        resolve({
          socket,
          head,
          raw: res.headers["content-type"] !== "application/vnd.docker.multiplexed-stream",
        });
      });
      req.on("response", (res) => {
        text(res).then((answer) => reject(new DaemonError(res.statusCode!, messageIn(answer))), reject);
      });
      req.end(json);
    });
  }

  #request(
    method: string,
    path: string,
    query: Query | undefined,
    headers: Record<string, string | number>,
    signal?: AbortSignal,
  ): ClientRequest {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query ?? {}))
      if (value !== undefined) search.set(name, String(value));
    const { tls, ...where } = this.host;
    const url = `${API}${path}${search.size > 0 ? `?${search}` : ""}`;
    const options: RequestOptions = {
      ...where,
      method,
      path: url,
      headers: { host: "docker", ...headers },
      agent: false,
      // else node asks whether the host is an address, by an expression that takes 5 ms to compile
      ...(!tls && { servername: "" }),
      ...(signal && { signal }),
    };
    if (!tls) return builtin("node:http").request(options);
    try {
      return builtin("node:https").request({ ...options, ...tls });
    } catch (error) {
      const why = (error as Error).message;
      throw new DaemonError(0, `the certificates for ${this.#where} cannot be used: ${why}`);
    }
  }

  get #where(): string {
    const { socketPath, host, port } = this.host;
    return socketPath ? `unix://${socketPath}` : `tcp://${host}:${port}`;
  }

  #unreachable(error: Error): Error {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || error instanceof DaemonError) return error;
    const why =
      code === "EACCES"
        ? "permission denied: are you root, or in the socket's group?"
        : this.host.tls && code !== "ECONNREFUSED"
          ? error.message
          : "is creeld running?";
    return new DaemonError(0, `cannot connect to the daemon at ${this.#where}: ${why}`);
  }
}

function isReadable(body: unknown): body is Readable {
  return typeof (body as Readable | undefined)?.pipe === "function";
}

/** The whole of a body as text. */
export async function text(res: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of res) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function messageIn(answer: string): string {
  try {
    return (JSON.parse(answer) as { message?: string }).message ?? answer.trim();
  } catch {
    return answer.trim();
  }
}

/** JSON values of a stream, as they come: events, progress. */
export async function* jsonLines<T>(stream: Readable): AsyncGenerator<T> {
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
  }
  if (rest.trim() !== "") yield JSON.parse(rest) as T;
}
