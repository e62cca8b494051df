import { request } from "node:http";

/** What the daemon answered with an error. */
export class RestError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A small client of the REST API on a UNIX socket: JSON in, JSON out. Rejects with {@link RestError} from status 400 on. */
export class Rest {
  readonly socket: string;
  constructor(socket: string) {
    this.socket = socket;
  }

  get<T>(path: string): Promise<T> {
    return this.call<T>("GET", path);
  }
  post<T>(path: string, body?: unknown): Promise<T> {
    return this.call<T>("POST", path, body);
  }
  delete<T>(path: string): Promise<T> {
    return this.call<T>("DELETE", path);
  }

  /** `body`: an object becomes JSON, bytes are sent as a tar archive. The answer has at most `timeout` ms. */
  call<T>(method: string, path: string, body?: unknown, timeout = 60_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const bytes = body instanceof Uint8Array;
      const payload = body === undefined ? undefined : bytes ? body : Buffer.from(JSON.stringify(body));
      const headers: Record<string, string | number> = {};
      if (payload !== undefined) {
        headers["content-type"] = bytes ? "application/x-tar" : "application/json";
        headers["content-length"] = payload.length;
      }
      const req = request({ socketPath: this.socket, method, path, headers, timeout }, (res) => {
        const chunks: Buffer[] = [];
        res.on("data", (chunk: Buffer) => chunks.push(chunk));
        res.on("error", reject);
        res.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if (res.statusCode! >= 400) return reject(new RestError(res.statusCode!, messageIn(text)));
          const json = res.headers["content-type"]?.startsWith("application/json") && text !== "";
          try {
            resolve((json ? JSON.parse(lastLine(text)) : text) as T);
          } catch {
            resolve(text as T);
          }
        });
      });
      req.on("timeout", () =>
        req.destroy(new Error(`${method} ${path}: no answer within ${timeout / 1000} s`)),
      );
      req.on("error", reject);
      req.end(payload);
    });
  }
}

function lastLine(text: string): string {
  const trimmed = text.trim();
  return trimmed.startsWith("{") && trimmed.includes("}\n{")
    ? trimmed.slice(trimmed.lastIndexOf("\n") + 1)
    : trimmed;
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { message: string }).message;
  } catch {
    return text;
  }
}
