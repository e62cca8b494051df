import { CreelError } from "@creel/shared";
import Fastify, { type FastifyInstance } from "fastify";
import type { ApiContext } from "./context.ts";
import { parseJsonBodies } from "./http/body.ts";
import { stripVersion } from "./http/version.ts";
import type { EnginePort, PlannedCluster } from "./ports.ts";

/** One request of this API, as it would be sent. */
export interface PlannedRequest {
  Method: string;
  Path: string;
  Query?: Record<string, string> | null;
  Body?: unknown;
}

/**
 * This API over a cluster on which changes are only tried: the routes are those that would carry them out, so that
 * what they refuse is refused here too, with the same error.
 */
export class PlanningApi {
  readonly #app: FastifyInstance;
  #error: unknown;

  constructor(
    context: ApiContext,
    planned: PlannedCluster,
    routes: readonly ((app: FastifyInstance, context: ApiContext) => void)[],
  ) {
    const app = Fastify({ logger: false, exposeHeadRoutes: false, rewriteUrl: stripVersion });
    parseJsonBodies(app);
    app.setErrorHandler((error, _request, reply) => {
      this.#error = error;
      return reply.code(500).send();
    });
    app.setNotFoundHandler(({ method, url }) => {
      throw new CreelError("not_plannable", { what: `${method} ${url.split("?")[0]}` });
    });
    const cluster = over(context.cluster, planned);
    for (const register of routes) register(app, { ...context, cluster, engine: readOnly(context.engine) });
    this.#app = app;
  }

  /** Rejects with what the route throws. */
  async send({ Method, Path, Query, Body }: PlannedRequest): Promise<void> {
    const { statusCode } = await this.#app.inject({
      method: Method.toUpperCase() as "POST",
      url: Path,
      ...(Query && { query: Query }),
      ...(Body !== undefined && Body !== null && { payload: Body as object }),
    });
    if (statusCode >= 400) throw this.#error;
  }

  async close(): Promise<void> {
    await this.#app.close();
  }
}

/** The cluster with some of its methods in other hands. */
function over<T extends object>(target: T, others: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(others, name)) return others[name as keyof T];
      const value = target[name as keyof T];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The engine, of which only the node's own networks are asked. */
function readOnly(engine: EnginePort): EnginePort {
  const refused = new Proxy(
    {},
    {
      get: (_, call) => () =>
        Promise.reject(new CreelError("not_plannable", { what: `${String(call)} on this node alone` })),
    },
  );
  const none = Object.fromEntries(Object.keys(engine).map((part) => [part, refused]));
  const networks = over(refused as EnginePort["networks"], {
    list: (...args) => engine.networks.list(...args),
  });
  return { ...(none as unknown as EnginePort), networks };
}
