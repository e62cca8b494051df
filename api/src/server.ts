import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from "node:https";
import { CreelError, isCreelError, messageOf } from "@creel/shared";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";
import type { ApiContext } from "./context.ts";
import { parseJsonBodies } from "./http/body.ts";
import { findDockerRoute } from "./http/docker-routes.ts";
import { attachUpgrades } from "./http/upgrade.ts";
import { checkVersion, MAX_VERSION, stripVersion, versionOf } from "./http/version.ts";
import { registerRoutes } from "./routes/mod.ts";

const HEADERS_TIME = 15_000;
const KEEP_ALIVE = 90_000;
const MAX_CONNECTIONS = 8192;

/** The REST API of one node, to be served on any number of listeners. */
export interface Api {
  /** A server for one listener, not yet listening; with `tls` it speaks HTTPS. */
  server(tls?: TlsOptions): Server;
  /** Ends all answers that are under way and all servers made here. */
  close(): Promise<void>;
}

/** Builds the Docker Engine REST API over a node's engine and its place in the cluster. */
export async function createApi(context: ApiContext): Promise<Api> {
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    rewriteUrl: stripVersion,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512 },
    // servers are made per listener; this one never listens
    serverFactory: (handler) => createServer(handler),
  });
  parseJsonBodies(app);
  addHeaders(app, context);
  plainJsonType(app);
  addErrors(app, context);
  registerRoutes(app, context);
  await app.ready();

  const servers = new Set<Server>();
  return {
    server(tls) {
      const listener: RequestListener = (request, response) => app.routing(request, response);
      const limits = { headersTimeout: HEADERS_TIME, requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE };
      const server = tls ? createTlsServer({ ...tls, ...limits }, listener) : createServer(limits, listener);
      server.maxConnections = MAX_CONNECTIONS;
      server.on("clientError", (_error, socket) => {
        if (socket.writable)
          socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        else socket.destroy();
      });
      attachUpgrades(server, context);
      servers.add(server);
      return server;
    },
    async close() {
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
      await app.close();
    },
  };
}

/** What every answer says of the server. */
export function serverHeaders(context: ApiContext): Record<string, string> {
  return {
    "api-version": MAX_VERSION,
    "docker-experimental": "false",
    ostype: "linux",
    server: `Creel/${context.facts.version} (linux)`,
  };
}

function addHeaders(app: FastifyInstance, context: ApiContext): void {
  const headers = serverHeaders(context);
  app.addHook("onRequest", (request, reply, done) => {
    reply.headers(headers);
    try {
      checkVersion(versionOf(request.raw));
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

/** Docker's client takes an error for one only where the type is this and nothing more. */
function plainJsonType(app: FastifyInstance): void {
  app.addHook("onSend", (_request, reply, payload, done) => {
    const type = reply.getHeader("content-type");
    if (typeof type === "string" && type.startsWith("application/json")) {
      reply.header("content-type", "application/json");
    }
    done(null, payload);
  });
}

function addErrors(app: FastifyInstance, context: ApiContext): void {
  app.setErrorHandler((error, request, reply) => {
    const own = toCreelError(error);
    if (own.status >= 500 && own.code === "internal") {
      context.logger.error(
        { method: request.method, url: request.url, error: messageOf(error) },
        "request failed",
      );
    }
    sendError(reply, own);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0]!;
    const route = findDockerRoute(request.method, path);
    sendError(
      reply,
      route
        ? new CreelError("route_not_implemented", { method: request.method, route })
        : new CreelError("page_not_found"),
    );
  });
}

/** The registry's error for anything that a route throws. */
export function toCreelError(error: unknown): CreelError {
  if (isCreelError(error)) return error;
  const { statusCode, message } = error as FastifyError;
  if (statusCode !== undefined && statusCode < 500) {
    return new CreelError("invalid_parameter", { message }, { cause: error });
  }
  return new CreelError("internal", { message: messageOf(error) }, { cause: error });
}

/** The text of an error for a user: what happened, then what can be done. */
export function errorText(error: CreelError): string {
  return error.hint === "" ? error.message : `${error.message} (${error.hint})`;
}

function sendError(reply: FastifyReply, error: CreelError): void {
  if (error.status === 304) reply.code(304).send();
  else reply.code(error.status).send({ message: errorText(error) });
}
