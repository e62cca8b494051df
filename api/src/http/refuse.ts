import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { CreelError } from "@creel/shared";

/** How long what a refused client still sends is read away, so that it sees the answer. */
const LINGER = 1_000;

const refused = new WeakSet<Duplex>();

/** Answers what is no HTTP request, or takes too long to become one, and ends the connection. */
export function refuseClient(error: NodeJS.ErrnoException, socket: Duplex): void {
  // it is told of again with each part that comes
  if (refused.has(socket)) return;
  refused.add(socket);
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const own = errorOf(error);
  const body = JSON.stringify({ message: own.message });
  const head = [
    `HTTP/1.1 ${own.status} ${STATUS_CODES[own.status]}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once("close", () => clearTimeout(timer));
  socket.once("end", () => socket.destroy());
  socket.on("error", () => socket.destroy());
}

function errorOf({ code, message }: NodeJS.ErrnoException): CreelError {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new CreelError("request_too_slow");
  if (code === "HPE_HEADER_OVERFLOW") return new CreelError("headers_too_large");
  return new CreelError("invalid_parameter", { message: `this is no HTTP request: ${message}` });
}
