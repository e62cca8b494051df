import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { absentRoutes } from "./absent.ts";
import { archiveRoutes } from "./archives.ts";
import { attachRoutes } from "./attach.ts";
import { containerFileRoutes } from "./container-files.ts";
import { containerLifeRoutes } from "./container-life.ts";
import { containerRoutes } from "./containers.ts";
import { dataRoutes } from "./data.ts";
import { debugRoutes } from "./debug.ts";
import { execRoutes } from "./exec.ts";
import { imageRoutes } from "./images.ts";
import { networkRoutes } from "./networks.ts";
import { nodeRoutes } from "./nodes.ts";
import { planRoutes } from "./plan.ts";
import { rebalanceRoutes } from "./rebalance.ts";
import { serviceLogRoutes } from "./service-logs.ts";
import { serviceRoutes } from "./services.ts";
import { swarmRoutes } from "./swarm.ts";
import { systemRoutes } from "./system.ts";
import { taskRoutes } from "./tasks.ts";
import { volumeRoutes } from "./volumes.ts";
import { whyRoutes } from "./why.ts";

/** All resources of the API: a new one is one file and one line here. */
export function registerRoutes(app: FastifyInstance, context: ApiContext): void {
  systemRoutes(app, context);
  imageRoutes(app, context);
  archiveRoutes(app, context);
  containerRoutes(app, context);
  containerLifeRoutes(app, context);
  containerFileRoutes(app, context);
  attachRoutes(app, context);
  execRoutes(app, context);
  networkRoutes(app, context);
  volumeRoutes(app, context);
  swarmRoutes(app, context);
  nodeRoutes(app, context);
  serviceRoutes(app, context);
  serviceLogRoutes(app, context);
  taskRoutes(app, context);
  planRoutes(app, context);
  rebalanceRoutes(app, context);
  dataRoutes(app, context);
  absentRoutes(app);
  whyRoutes(app, context);
  debugRoutes(app, context);
}
