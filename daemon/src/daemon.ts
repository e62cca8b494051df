import { hostname } from "node:os";
import { createApi, EventHub } from "@creel/api";
import { type Logger, systemClock, systemRandom } from "@creel/shared";
import { connectEngine } from "@creel/worker";
import { ClusterNode } from "./cluster/node.ts";
import type { DaemonConfig } from "./config.ts";
import { EngineKeeper } from "./engine.ts";
import { creelCommit, creelVersion, engineId } from "./facts.ts";
import { listenAll, parseHosts } from "./listen.ts";
import { writePidfile } from "./pidfile.ts";

/** A daemon that serves. */
export interface Daemon {
  /** Stops serving; containers and creel-engine go on. */
  stop(): Promise<void>;
}

/** Wires engine, cluster and API, and resolves when the API is served. */
export async function startDaemon(config: DaemonConfig, logger: Logger): Promise<Daemon> {
  const clock = systemClock;
  const random = systemRandom;
  const undo: (() => unknown)[] = [];
  const unwind = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    parseHosts(config);
    undo.push(writePidfile(config.pidfile));
    const facts = {
      version: creelVersion(),
      commit: creelCommit(),
      id: engineId(config.dataRoot, random),
      labels: config.labels,
      debug: config.logLevel === "debug",
    };
    const engine = connectEngine(config.engineSocket);
    undo.push(() => engine.close());
    const engineKeeper = new EngineKeeper(
      {
        binary: config.engineBinary,
        socket: config.engineSocket,
        dataRoot: config.dataRoot,
        execRoot: config.execRoot,
        cgroupParent: config.cgroupParent,
        storageDriver: config.storageDriver,
        logLevel: config.logLevel,
      },
      engine,
      clock,
      logger,
    );
    const parts = { engine, engineKeeper, facts, hostname, clock, random, logger };
    const cluster = new ClusterNode(parts, config.dataRoot);
    await engineKeeper.start(cluster.dataPath());
    undo.push(() => engineKeeper.release());
    const events = new EventHub(engine, cluster, clock, logger);
    undo.push(() => events.close());
    undo.push(() => cluster.stop());
    const api = await createApi({ engine, cluster, events, facts, clock, logger, hostname });
    undo.push(() => api.close());
    undo.push(await listenAll(api, config));
    cluster.resume();
    logger.info({ hosts: config.hosts, dataRoot: config.dataRoot, version: facts.version }, "creeld serves");
    return { stop: unwind };
  } catch (error) {
    await unwind();
    throw error;
  }
}
