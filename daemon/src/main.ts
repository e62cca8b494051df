import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { CreelError, createLogger, messageOf, setLogLevel } from "@creel/shared";
import { type DaemonConfig, Exit, readConfig } from "./config.ts";
import type { Daemon } from "./daemon.ts";
import { creelVersion } from "./facts.ts";

/** A stop takes at most so long; then the process ends all the same. */
const STOP_MS = 20_000;

function parse(): DaemonConfig {
  try {
    return readConfig(process.argv.slice(2), creelVersion());
  } catch (error) {
    if (error instanceof Exit) {
      if (error.message !== "") writeSync(error.code === 0 ? 1 : 2, `${error.message}\n`);
      process.exit(error.code);
    }
    return fail(error);
  }
}

function fail(error: unknown): never {
  const hint = error instanceof CreelError && error.hint !== "" ? ` (${error.hint})` : "";
  writeSync(2, `creeld: ${messageOf(error)}${hint}\n`);
  process.exit(1);
}

const config = parse();
const logger = createLogger(config.logLevel, { program: "creeld" });
process.on("SIGHUP", () => {
  try {
    const level = readConfig(process.argv.slice(2), creelVersion()).logLevel;
    setLogLevel(logger, level);
    logger.info({ logLevel: level, file: config.configFile }, "configuration read again");
    starting.then(
      (daemon) => {
        daemon.reloaded({ logLevel: level });
        return daemon.setEngineLogLevel(level);
      },
      () => {},
    );
  } catch (error) {
    logger.error({ error: messageOf(error) }, "configuration not read");
  }
});
process.on("unhandledRejection", (error) => {
  logger.error({ error: messageOf(error), stack: (error as Error).stack }, "a failure nobody waited for");
});

// timers alone do not keep a process alive, and there are moments at the start with nothing else
setInterval(() => {}, 2 ** 30);

// what is wrong with the arguments is said before all the rest is loaded
const starting: Promise<Daemon> = import("./daemon.ts").then(({ startDaemon }) =>
  startDaemon(config, logger),
);
// for the next start, which may follow a kill
starting.then(
  () => flushCompileCache(),
  () => {},
);
let stopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, "stopping; containers go on running");
    setTimeout(() => process.exit(1), STOP_MS).unref();
    starting
      .then((daemon) => daemon.stop())
      .then(
        () => process.exit(0),
        (error) => fail(error),
      );
  });
}
starting.then(
  async (daemon) => {
    const error = await daemon.fatal;
    await daemon.stop();
    fail(error);
  },
  (error) => {
    if (!stopping) fail(error);
  },
);
