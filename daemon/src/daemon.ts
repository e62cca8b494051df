import { hostname } from "node:os";
import { createApi, EventHub } from "@creel/api";
import { type CreelError, type Logger, messageOf, systemClock, systemRandom } from "@creel/shared";
import { connectEngine } from "@creel/worker";
import { ClusterNode } from "./cluster/node.ts";
import type { DaemonConfig } from "./config.ts";
import { EngineKeeper } from "./engine.ts";
import { creelCommit, creelVersion, engineId } from "./facts.ts";
import { checkFormat } from "./format.ts";
import { checkHosts, listenAll } from "./listen.ts";
import { Metrics } from "./metrics.ts";
import { serveMetrics } from "./metrics-server.ts";
import { writePidfile } from "./pidfile.ts";

/** A daemon that serves. */
export interface Daemon {
  /** Resolves with what makes it pointless to go on, if it comes to that. */
  readonly fatal: Promise<CreelError>;
  /** Stops serving; containers and creel-engine go on. */
  stop(): Promise<void>;
  /** Has creel-engine log at `level` too; where it cannot be told, the log says so. */
  setEngineLogLevel(level: string): Promise<void>;
  /** Tells the readers of events that the configuration was read again. */
  reloaded(config: Pick<DaemonConfig, "logLevel">): void;
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
    checkHosts(config);
    checkFormat(config.dataRoot);
    undo.push(writePidfile(config.pidfile));
    const facts = {
      version: creelVersion(),
      commit: creelCommit(),
      id: engineId(config.dataRoot, random),
      labels: config.labels,
      genericResources: config.genericResources,
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
        runtimes: config.runtimes,
        defaultRuntime: config.defaultRuntime,
        init: config.init,
        logDriver: config.logDriver,
        logOpts: config.logOpts,
        usernsRemap: config.usernsRemap,
        logLevel: config.logLevel,
      },
      engine,
      clock,
      logger,
    );
    const onProposed = (ms: number) => metrics.proposed(ms);
    let onFatal = (_: CreelError) => {};
    const fatal = new Promise<CreelError>((resolve) => {
      onFatal = resolve;
    });
    const parts = { engine, engineKeeper, facts, hostname, clock, random, logger, onProposed, onFatal };
    const cluster = new ClusterNode(parts, config.dataRoot);
    const metrics = new Metrics({
      engine,
      manager: () => cluster.manager,
      inSwarm: () => cluster.localState() !== "inactive",
      version: facts.version,
      commit: facts.commit,
    });
    await engineKeeper.start();
    undo.push(() => engineKeeper.release());
    const events = new EventHub(engine, cluster, clock, logger);
    undo.push(() => events.close());
    undo.push(() => cluster.stop());
    const api = await createApi({ engine, cluster, events, facts, metrics, clock, logger, hostname });
    undo.push(() => api.close());
    undo.push(await listenAll(api, config));
    if (config.metricsAddr !== "") undo.push(await serveMetrics(metrics, config.metricsAddr));
    cluster.resume();
    logger.info({ hosts: config.hosts, dataRoot: config.dataRoot, version: facts.version }, "creeld serves");
    const setEngineLogLevel = (level: string) =>
      engineKeeper
        .setLogLevel(level)
        .catch((error) => logger.warn({ error: messageOf(error) }, "creel-engine keeps its log level"));
    const reloaded = ({ logLevel }: Pick<DaemonConfig, "logLevel">) =>
      events.tell("daemon", "reload", facts.id, {
        name: hostname(),
        debug: String(logLevel === "debug"),
        "log-level": logLevel,
        labels: JSON.stringify(facts.labels),
      });
    return { fatal, stop: unwind, setEngineLogLevel, reloaded };
  } catch (error) {
    await unwind();
    throw error;
  }
}
