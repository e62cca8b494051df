import { randomBytes } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, type ServerOptions as TlsOptions } from "node:https";
import { CreelError, isCreelError, messageOf } from "@creel/shared";
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import type { ApiContext } from "./context.ts";
import { parseJsonBodies } from "./http/body.ts";
import { OpenAnswers } from "./http/closing.ts";
import { findDockerRoute } from "./http/docker-routes.ts";
import { refuseClient } from "./http/refuse.ts";
import { attachUpgrades, mayUpgrade } from "./http/upgrade.ts";
import { checkVersion, MAX_VERSION, stripVersion, versionOf } from "./http/version.ts";
import { registerRoutes } from "./routes/mod.ts";

const HEADERS_TIME = 15_000;
/** How often connections are looked through for those whose time is over. */
const LOOK_TIME = 5_000;
const KEEP_ALIVE = 90_000;
const PROBE_TIME = 30_000;
const MAX_CONNECTIONS = 8192;
/** A longer path is cut in the log. */
export const MAX_LOGGED_PATH = 512;
/** As long as all of a request's head may be: what is too long for a name is not found, as Docker says. */
const MAX_PARAM = 16 << 10;
/** What a person typed is repeated in errors, a megabyte of it is not. */
const MAX_TEXT = 2_000;

/** The REST API of one node, to be served on any number of listeners. */
export interface Api {
  /** A server for one listener, not yet listening; with `tls` it speaks HTTPS. */
  server(tls?: TlsOptions): Server;
  /** Takes no more requests, lets those under way be answered for a bounded time (`graceMs`), and ends all streams. */
  close(graceMs?: number): Promise<void>;
}

/** Builds the Docker Engine REST API over a node's engine and its place in the cluster. */
export async function createApi(context: ApiContext): Promise<Api> {
  const app = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    rewriteUrl: stripVersion,
    genReqId: newRequestId,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAM },
    // servers are made per listener; this one never listens
    serverFactory: (handler) => createServer(handler),
  });
  parseJsonBodies(app);
  addHeaders(app, context);
  plainJsonType(app);
  addErrors(app, context);
  addRequestLog(app, context);
  registerRoutes(app, context);
  await app.ready();

  const servers = new Set<Server>();
  const answers = new OpenAnswers();
  return {
    server(tls) {
      const listener: RequestListener = (request, response) => {
        answers.add(response);
        app.routing(request, response);
      };
      const limits = {
        headersTimeout: HEADERS_TIME,
        connectionsCheckingInterval: LOOK_TIME,
        requestTimeout: 0,
        keepAliveTimeout: KEEP_ALIVE,
        // a peer that is gone without a word is noticed, also while a stream to it is silent
        keepAlive: true,
        keepAliveInitialDelay: PROBE_TIME,
        shouldUpgradeCallback: mayUpgrade,
      };
      const server = tls ? createTlsServer({ ...tls, ...limits }, listener) : createServer(limits, listener);
      server.maxConnections = MAX_CONNECTIONS;
      server.on("clientError", refuseClient);
      attachUpgrades(server, context);
      servers.add(server);
      return server;
    },
    async close(graceMs) {
      for (const server of servers) server.close();
      await answers.settle(graceMs);
      for (const server of servers) server.closeAllConnections();
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
    reply.header("x-request-id", request.id);
    try {
      checkVersion(versionOf(request.raw));
      // before the body: it may be an archive, and nobody is there to read it
      if (request.is404) sendNotFound(request, reply);
      else done();
    } catch (error) {
      done(error as Error);
    }
  });
}

/** A name for one request, by which its answer and what was logged of it are found together. */
export function newRequestId(): string {
  return randomBytes(8).toString("hex");
}

function addRequestLog(app: FastifyInstance, { logger, metrics }: ApiContext): void {
  // without the query: it may hold what only the client and the daemon should know
  const pathOf = (url: string) => url.split("?")[0]!.slice(0, MAX_LOGGED_PATH);
  app.addHook("onRequest", (request, reply, done) => {
    const begun = performance.now();
    let told = false;
    const tell = () => {
      if (told) return;
      told = true;
      const { method, id } = request;
      const route = request.routeOptions.url ?? "unknown";
      const ms = performance.now() - begun;
      const status = reply.raw.headersSent ? reply.raw.statusCode : 0;
      metrics.request(method, route, status, ms / 1000);
      logger.debug({ request: id, method, path: pathOf(request.url), status, ms: Math.round(ms) }, "request");
    };
    reply.raw.once("finish", tell);
    reply.raw.once("close", tell);
    done();
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
        {
          request: request.id,
          method: request.method,
          path: request.url.split("?")[0],
          error: messageOf(error),
        },
        "request failed",
      );
    }
    sendError(reply, own);
  });
  app.setNotFoundHandler(sendNotFound);
}

/** Docker's routes that are not here by their name, all else as no page. */
function sendNotFound({ method, url }: FastifyRequest, reply: FastifyReply): void {
  const route = findDockerRoute(method, url.split("?")[0]!);
  sendError(
    reply,
    route ? new CreelError("route_not_implemented", { method, route }) : new CreelError("page_not_found"),
  );
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
  const { message, hint } = error;
  const text =
    message.length > MAX_TEXT
      ? `${message.slice(0, MAX_TEXT)}... (${message.length} characters in all)`
      : message;
  return hint === "" ? text : `${text} (${hint})`;
}

function sendError(reply: FastifyReply, error: CreelError): void {
  if (error.status === 304) reply.code(304).send();
  else reply.code(error.status).send({ message: errorText(error) });
}
