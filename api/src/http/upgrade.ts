import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { CreelError } from "@creel/shared";
import type { ApiContext } from "../context.ts";
import { attachContainer } from "../routes/attach.ts";
import { prepareExec } from "../routes/exec.ts";
import { errorText, MAX_LOGGED_PATH, newRequestId, serverHeaders, toCreelError } from "../server.ts";
import { MAX_BODY, parseJson } from "./body.ts";
import { findDockerRoute } from "./docker-routes.ts";
import { frame } from "./frames.ts";
import { join, leave } from "./join.ts";
import { MULTIPLEXED_STREAM, RAW_STREAM } from "./stream.ts";
import { checkVersion, isBefore, stripVersion, versionOf } from "./version.ts";

/** What a connection becomes. */
export interface Hijack {
  /** A terminal: no frames. */
  raw: boolean;
  /** Called when the head is on its way: what the connection is joined with. */
  open(): Promise<Socket>;
}

/** Joins a connection whose head was sent with what it is to become; a failure can only be told within the stream. */
export async function serveHijack(client: Duplex, hijack: Hijack, head?: Buffer): Promise<void> {
  let engine: Socket;
  try {
    engine = await hijack.open();
  } catch (error) {
    const text = Buffer.from(`${errorText(toCreelError(error))}\r\n`);
    return leave(client, hijack.raw ? text : frame(1, text));
  }
  await join(client, engine, head);
}

/** Serves the requests whose connection becomes a stream (`Upgrade: tcp`): attach and exec start. */
export function attachUpgrades(server: Server, context: ApiContext): void {
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    request.socket.setTimeout(0);
    socket.on("error", () => socket.destroy());
    void serve(context, request, socket, head);
  });
}

async function serve(
  context: ApiContext,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const id = newRequestId();
  const begun = performance.now();
  const url = urlOf(request);
  const headers = { ...serverHeaders(context), "x-request-id": id };
  const tell = (status: number) => {
    const ms = performance.now() - begun;
    const method = request.method ?? "";
    const path = url.pathname.slice(0, MAX_LOGGED_PATH);
    context.metrics.request(method, routeOf(url), status, ms / 1000);
    context.logger.debug({ request: id, method, path, status, ms: Math.round(ms) }, "request");
  };
  try {
    checkVersion(versionOf(request));
    const hijack = await open(context, request, url);
    const type = !hijack.raw && !isBefore(versionOf(request), "1.42") ? MULTIPLEXED_STREAM : RAW_STREAM;
    writeHead(socket, "101 UPGRADED", {
      ...headers,
      "content-type": type,
      connection: "Upgrade",
      upgrade: "tcp",
    });
    tell(101);
    await serveHijack(socket, hijack, head);
  } catch (error) {
    const own = toCreelError(error);
    const body = JSON.stringify({ message: errorText(own) });
    tell(own.status);
    writeHead(socket, `${own.status} ${STATUS_CODES[own.status] ?? "Error"}`, {
      ...headers,
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      connection: "close",
    });
    socket.end(body, () => socket.destroy());
  }
}

/** Whether the connection of this request may become a stream; all others are answered as if they had not asked. */
export function mayUpgrade(request: IncomingMessage): boolean {
  return request.method === "POST" && routeOf(urlOf(request)) !== "unknown";
}

function urlOf(request: IncomingMessage): URL {
  const target = stripVersion(request);
  return (
    URL.parse(`http://localhost${target.startsWith("/") ? "" : "/"}${target}`) ?? new URL("http://localhost")
  );
}

/** The route's pattern, for the figures. */
function routeOf({ pathname }: URL): string {
  if (/^\/containers\/[^/]+\/attach$/.test(pathname)) return "/containers/:id/attach";
  return /^\/exec\/[^/]+\/start$/.test(pathname) ? "/exec/:id/start" : "unknown";
}

async function open(context: ApiContext, request: IncomingMessage, url: URL): Promise<Hijack> {
  const query = Object.fromEntries(url.searchParams);
  const [, kind, id, action] = url.pathname.split("/");
  if (request.method === "POST" && kind === "containers" && action === "attach") {
    return attachContainer(context, decoded(id), query);
  }
  if (request.method === "POST" && kind === "exec" && action === "start") {
    return prepareExec(context, decoded(id), await readJson(request));
  }
  const route = findDockerRoute(request.method ?? "", url.pathname);
  if (route === undefined) throw new CreelError("page_not_found");
  throw new CreelError("route_not_implemented", { method: request.method ?? "", route });
}

function decoded(part = ""): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    throw new CreelError("invalid_parameter", { message: `invalid URL escape in ${part}` }, { cause: error });
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > MAX_BODY) throw new CreelError("body_too_large", { max: MAX_BODY });
    parts.push(part as Buffer);
  }
  return parseJson(Buffer.concat(parts).toString());
}

/** Writes a status line and headers straight onto a connection. */
export function writeHead(socket: Duplex, status: string, headers: Record<string, string>): void {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${status}\r\n${lines.join("")}\r\n`);
}
