import { request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";

/** An answer of the REST API as it came. */
export interface RawAnswer {
  status: number;
  message: string;
}

/** One request on a connection of its own; `body` is sent as it is. */
export function raw(
  socketPath: string,
  method: string,
  path: string,
  body: string | Buffer = "",
  headers: Record<string, string> = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part) => (text += part));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode!, message: messageOf(text) }));
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Writes `head` and nothing more, and resolves with all that is said until the other side ends the connection. */
export function converse(
  path: string | { host: string; port: number },
  head: string | Buffer,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = typeof path === "string" ? connect(path) : connect(path);
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (part) => (text += part));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (["ECONNRESET", "EPIPE"].includes(error.code ?? "")) resolve(text);
      else reject(error);
    });
    socket.on("close", () => resolve(text));
    socket.write(head);
  });
}

/** Resolves with an open connection. */
export function open(path: string | { host: string; port: number }): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = typeof path === "string" ? connect(path) : connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}

function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: string };
    return message ?? text;
  } catch {
    return text;
  }
}
