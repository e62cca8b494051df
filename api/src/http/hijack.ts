import type { Socket } from "node:net";
import type { FastifyReply } from "fastify";
import { writeHead } from "./upgrade.ts";

/**
 * Takes over the connection of a request that did not ask for an upgrade, as older clients of attach and exec do: the
 * answer is 200, and from there on the connection is a stream.
 */
export function takeSocket(reply: FastifyReply, contentType: string): Socket {
  reply.hijack();
  const socket = reply.raw.req.socket as Socket;
  const headers: Record<string, string> = { "content-type": contentType };
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined && name !== "content-type") headers[name] = String(value);
  }
  reply.raw.detachSocket(socket);
  for (const event of ["data", "end", "drain", "timeout"]) socket.removeAllListeners(event);
  socket.setTimeout(0);
  writeHead(socket, "200 OK", headers);
  return socket;
}
