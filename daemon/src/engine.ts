import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Clock, CreelError, isCreelError, type Logger, messageOf, sleep } from "@creel/shared";
import type { EngineClient } from "@creel/worker";
import { livePid } from "./pidfile.ts";

const PROGRAM = /creel-engine/;
const READY_MS = 30_000;
const LOOK_MS = 250;
/** The engine is asked for an answer so often, and stands still where it gives none within this time. */
const ASK_MS = 3000;
const PATIENCE_MS = 10_000;
/** How long it is asked at a time while it stands still. */
const WAKE_MS = 2000;
const LEVEL_MS = 5_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;

/** How creel-engine is started. */
export interface EngineOptions {
  binary: string;
  socket: string;
  dataRoot: string;
  execRoot: string;
  cgroupParent: string;
  storageDriver: string;
  /** Further OCI runtimes, each NAME=PATH. */
  runtimes: string[];
  defaultRuntime: string;
  /** Whether containers that do not say have an init. */
  init: boolean;
  /** Of containers that name none; empty: the engine's own default. */
  logDriver: string;
  /** Options of that driver, each NAME=VALUE. */
  logOpts: string[];
  /** Whose subordinate ids containers have, "USER[:GROUP]" or "default"; empty: they have the host's. */
  usernsRemap: string;
  logLevel: string;
}

/** Where VXLAN reaches this node. */
export interface DataPath {
  addr: string;
  port: number;
}

/**
 * Keeps a creel-engine running. It is a process of its own that outlives this one: one that runs already is taken
 * over, one that dies is started again.
 */
export class EngineKeeper {
  readonly #options: EngineOptions;
  readonly #client: EngineClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  #logLevel: string;
  #suspended = false;
  #asked = 0;
  #watching: Promise<void> | undefined;
  #died = () => {};

  constructor(options: EngineOptions, client: EngineClient, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#client = client;
    this.#clock = clock;
    this.#logger = logger;
    this.#logLevel = options.logLevel;
  }

  /** Resolves when the engine answers. */
  async start(): Promise<void> {
    if (await this.#answers()) {
      // one that runs since before was started with what was wanted then
      await this.setLogLevel(this.#logLevel).catch((error) =>
        this.#logger.warn({ error: messageOf(error) }, "creel-engine keeps its log level"),
      );
    } else await this.#launchOrAwaken();
    this.#watching = this.#watch();
  }

  /** The engine keeps it, also across its restarts. */
  async setDataPath({ addr, port }: DataPath): Promise<void> {
    await this.#client.networks.setDataPath({ addr, port });
  }

  /** The level at which the engine logs from now on, also after it was started again. */
  async setLogLevel(level: string): Promise<void> {
    this.#logLevel = level;
    await this.#client.engine.setLogLevel({ level }, { timeoutMs: LEVEL_MS });
  }

  /** No longer looks after the engine, which goes on running. */
  async release(): Promise<void> {
    this.#stop.abort();
    this.#died();
    await this.#watching;
  }

  get #pidfile(): string {
    return join(this.#options.execRoot, "engine.pid");
  }

  async #answers(): Promise<boolean> {
    if (!existsSync(this.#options.socket)) return false;
    return this.#client.ready(2000).then(
      () => true,
      () => false,
    );
  }

  /** One that runs but does not answer may only just have been started. */
  async #launchOrAwaken(): Promise<void> {
    const end = this.#clock.now() + PATIENCE_MS;
    while (livePid(this.#pidfile, PROGRAM) !== undefined) {
      if (await this.#answers()) return;
      if (this.#clock.now() > end) throw this.#unresponsive();
      await sleep(this.#clock, 100);
    }
    await this.#launch();
  }

  #unresponsive(): CreelError {
    const pid = livePid(this.#pidfile, PROGRAM) ?? "unknown";
    return new CreelError("engine_unresponsive", { pid, seconds: PATIENCE_MS / 1000 });
  }

  async #launch(): Promise<void> {
    const { binary, socket, dataRoot, execRoot, cgroupParent } = this.#options;
    const { storageDriver, runtimes, defaultRuntime, init, usernsRemap, logDriver, logOpts } = this.#options;
    if (!existsSync(binary)) {
      throw new CreelError("internal", { message: `${binary} is not built: run npm run build` });
    }
    mkdirSync(dataRoot, { recursive: true, mode: 0o711 });
    mkdirSync(execRoot, { recursive: true, mode: 0o711 });
    mkdirSync(dirname(socket), { recursive: true });
    const args = [
      ["--data-root", dataRoot],
      ["--exec-root", execRoot],
      ["--socket", socket],
      ["--cgroup-parent", cgroupParent],
      ["--log-level", this.#logLevel],
      ["--pidfile", this.#pidfile],
      storageDriver === "" ? [] : ["--storage-driver", storageDriver],
      ...runtimes.map((runtime) => ["--add-runtime", runtime]),
      defaultRuntime === "" ? [] : ["--default-runtime", defaultRuntime],
      init ? ["--init"] : [],
      logDriver === "" ? [] : ["--log-driver", logDriver],
      ...logOpts.map((option) => ["--log-opt", option]),
      usernsRemap === "" ? [] : ["--userns-remap", usernsRemap],
    ].flat();
    const logFile = join(dataRoot, "engine.log");
    const log = openSync(logFile, "a", 0o640);
    const child = spawn(binary, args, { detached: true, stdio: ["ignore", log, log], cwd: "/" });
    closeSync(log);
    child.unref();
    let ended: string | undefined;
    child.once("error", (error) => {
      ended = error.message;
    });
    child.once("exit", (code, signal) => {
      ended ??= signal ?? `exit status ${code}`;
      this.#died();
    });
    const end = this.#clock.now() + READY_MS;
    while (!(await this.#answers())) {
      if (ended !== undefined) {
        throw new CreelError("internal", {
          message: `creel-engine ended at its start (${ended}): ${lastLine(logFile)}`,
        });
      }
      if (this.#clock.now() > end)
        throw new CreelError("timeout", { what: `creel-engine (see ${logFile})`, ms: READY_MS });
      await sleep(this.#clock, 10);
    }
    this.#suspend(false);
    this.#logger.info({ pid: child.pid, socket }, "creel-engine runs");
  }

  async #watch(): Promise<void> {
    let wait = FIRST_WAIT_MS;
    while (!this.#stop.signal.aborted) {
      await this.#pause(LOOK_MS);
      if (this.#stop.signal.aborted) return;
      if (livePid(this.#pidfile, PROGRAM) !== undefined) {
        await this.#look();
        continue;
      }
      this.#logger.error({ wait }, "creel-engine is gone; starting it again");
      await sleep(this.#clock, wait, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      try {
        await this.#launch();
        wait = FIRST_WAIT_MS;
      } catch (error) {
        wait = Math.min(wait * 2, LONGEST_WAIT_MS);
        this.#logger.error({ error: messageOf(error), wait }, "creel-engine did not start");
      }
    }
  }

  /** Whether it still answers. A creel-engine that stands still is not killed: nobody knows what it is at. */
  async #look(): Promise<void> {
    if (!this.#suspended && this.#clock.now() - this.#asked < ASK_MS) return;
    try {
      await this.#client.ready(this.#suspended ? WAKE_MS : PATIENCE_MS, this.#stop.signal);
      this.#suspend(false);
    } catch (error) {
      if (isCreelError(error, "timeout") && !this.#stop.signal.aborted) this.#suspend(true);
    }
    this.#asked = this.#clock.now();
  }

  #suspend(suspended: boolean): void {
    if (suspended === this.#suspended) return;
    this.#suspended = suspended;
    if (suspended) {
      const error = this.#unresponsive();
      this.#logger.error({ error: error.message }, "creel-engine stands still");
      this.#client.suspend(error);
    } else {
      this.#logger.info({}, "creel-engine answers again");
      this.#client.resume();
    }
  }

  /** At most `ms`; a child's end is heard at once. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(ms, resolve);
      this.#died = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function lastLine(path: string): string {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").at(-1) ?? "";
  } catch {
    return `see ${path}`;
  }
}
