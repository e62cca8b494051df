import { type Clock, CreelError, isCreelError, type Logger, messageOf, sleep } from "@creel/shared";
import {
  type ContainerSpec,
  type Task,
  TaskState,
  type TaskStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Container, ContainerState } from "@creel/shared/gen/engine/v1/container.ts";
import type { Engine } from "../ports.ts";
import { filesOf, keysOf } from "./files.ts";
import { awaitedPorts } from "./readiness.ts";
import { containerSpec, graceSeconds, isBalanced } from "./spec.ts";
import { type TemplateContext, taskName } from "./templates.ts";
import type { Values } from "./values.ts";

/** How long a task goes on serving after its endpoint was taken out of all balancers, before its stop signal. */
const DRAIN_MS = 500;
/** The exit code of a process that was ended by SIGKILL. */
const SIGKILLED = 137;
/** So much of what a health check printed is told to the managers. */
const MAX_HEALTH_OUTPUT = 200;
/** What calls fail with while the engine is restarted or stands still. */
const AWAY = ["engine_unavailable", "engine_unresponsive", "remote_unreachable"] as const;

/** For the values of secrets and configs to reach this node. */
const VALUES_MS = 60_000;

/** What a task runner needs of its surroundings. */
export interface TaskEnvironment {
  engine: Engine;
  clock: Clock;
  logger: Logger;
  context(task: Task): TemplateContext;
  ingress: ReadonlySet<string>;
  values: Values;
  report(taskId: string, status: TaskStatus): void;
}

/**
 * The life of one task on this node: one small state machine that goes forward only. `update` hands in what the
 * managers want; the run goes on by itself and reports each state it has reached.
 */
export class TaskRunner {
  readonly #env: TaskEnvironment;
  #task: Task;
  #state: TaskState;
  #containerId: string;
  #pid = 0;
  #removed = false;
  #changed: () => void = () => {};
  #stopping: Promise<void> | undefined;
  readonly #done: Promise<void>;

  /** `container`: the one this task already has, when the worker was started anew. */
  constructor(env: TaskEnvironment, task: Task, container: Container | undefined) {
    this.#env = env;
    this.#task = task;
    this.#state = task.status?.state ?? TaskState.TASK_STATE_ASSIGNED;
    this.#containerId = container?.id ?? "";
    this.#done = this.#run(container);
  }

  get containerId(): string {
    return this.#containerId;
  }

  /** What the managers want now. */
  update(task: Task): void {
    this.#task = task;
    this.#changed();
  }

  /** The engine says that the container's state or health may have changed. */
  poke(): void {
    this.#changed();
  }

  /** The task is to leave this node; resolves when its container is gone. */
  async remove(): Promise<void> {
    this.#removed = true;
    this.#changed();
    await this.#done;
    if (this.#containerId !== "") await this.#removeContainer();
  }

  get #wanted(): TaskState {
    return this.#removed ? TaskState.TASK_STATE_REMOVE : this.#task.desiredState;
  }

  async #run(found: Container | undefined): Promise<void> {
    try {
      if (this.#state > TaskState.TASK_STATE_RUNNING) return;
      if (
        found === undefined &&
        this.#state > TaskState.TASK_STATE_READY &&
        this.#wanted <= TaskState.TASK_STATE_RUNNING
      ) {
        this.#report(TaskState.TASK_STATE_FAILED, "failed", "the task's container is gone from the node");
        return;
      }
      if (found === undefined && !(await this.#prepare())) return;
      if (!(await this.#start(found))) return;
      await this.#watch();
    } catch (error) {
      this.#log("error", { err: messageOf(error) }, "task failed");
      this.#report(TaskState.TASK_STATE_FAILED, "failed", messageOf(error));
    }
  }

  /** To READY; false when the task ended before. */
  async #prepare(): Promise<boolean> {
    const { engine } = this.#env;
    if (this.#wanted > TaskState.TASK_STATE_RUNNING) {
      this.#report(TaskState.TASK_STATE_SHUTDOWN, "shutdown before it was prepared");
      return false;
    }
    this.#report(TaskState.TASK_STATE_ACCEPTED, "accepted");
    this.#report(TaskState.TASK_STATE_PREPARING, "preparing");
    try {
      const container = this.#task.spec?.container;
      if (container === undefined)
        throw new CreelError("invalid_parameter", { message: "the task has no container" });
      await this.#retry(() => engine.ensureImage(container.image));
      if (!(await this.#awaitValues(container))) return false;
      const context = this.#env.context(this.#task);
      const spec = containerSpec(context, this.#env.ingress, filesOf(context, this.#env.values));
      this.#containerId = await this.#retry(() => engine.createContainer(taskName(this.#task), spec));
    } catch (error) {
      this.#report(TaskState.TASK_STATE_REJECTED, "preparing", messageOf(error));
      return false;
    }
    this.#report(TaskState.TASK_STATE_READY, "prepared");
    return true;
  }

  /** Until the node has the task's secrets and configs, which may come after it; false when the task ended before. */
  async #awaitValues(container: ContainerSpec): Promise<boolean> {
    const { clock, values } = this.#env;
    const end = clock.now() + VALUES_MS;
    while (keysOf(container).some((key) => !values.get(key))) {
      if (this.#wanted > TaskState.TASK_STATE_RUNNING) {
        this.#report(TaskState.TASK_STATE_SHUTDOWN, "shutdown before it was prepared");
        return false;
      }
      const left = end - clock.now();
      if (left <= 0)
        throw new CreelError("timeout", { what: "a manager, for its secrets and configs,", ms: VALUES_MS });
      const waiting = new AbortController();
      await Promise.race([this.#change(), values.arrival, sleep(clock, left, waiting.signal)]);
      waiting.abort();
    }
    return true;
  }

  /** To RUNNING (and healthy, where a health check says so); false when the task ended before. */
  async #start(found: Container | undefined): Promise<boolean> {
    const { engine } = this.#env;
    while (this.#wanted < TaskState.TASK_STATE_RUNNING) await this.#change();
    if (this.#wanted > TaskState.TASK_STATE_RUNNING) {
      if (found?.state?.status === "running") await this.#stop();
      else await this.#dropUnstarted();
      this.#report(TaskState.TASK_STATE_SHUTDOWN, "shutdown before it was started");
      return false;
    }
    const before = found?.state?.status ?? "created";
    if (before === "created") {
      this.#report(TaskState.TASK_STATE_STARTING, "starting");
      try {
        await this.#retry(() => engine.startContainer(this.#containerId));
      } catch (error) {
        if (!isCreelError(error, "not_modified")) {
          await this.#dropUnstarted();
          this.#report(TaskState.TASK_STATE_FAILED, "starting", messageOf(error));
          return false;
        }
      }
    }
    return true;
  }

  /** From the start of the process to the end of the task. */
  async #watch(): Promise<void> {
    const { engine } = this.#env;
    let ended: { exitCode: number; error: string } | undefined;
    const wait = this.#retry(() => engine.waitContainer(this.#containerId), 0).then(
      (result) => {
        ended = result;
        this.#changed();
      },
      (error: unknown) => {
        ended = { exitCode: -1, error: messageOf(error) };
        this.#changed();
      },
    );
    while (ended === undefined) {
      const change = this.#change();
      if (this.#wanted > TaskState.TASK_STATE_RUNNING) {
        this.#stopping ??= this.#stop();
        await Promise.race([change, wait]);
        continue;
      }
      await this.#observe();
      if (ended === undefined && this.#wanted <= TaskState.TASK_STATE_RUNNING)
        await Promise.race([change, wait]);
    }
    await this.#stopping;
    const { exitCode, error } = ended as { exitCode: number; error: string };
    this.#finish({ exitCode, error: error || (await this.#killedForMemory(exitCode)) });
  }

  /** Whether the kernel ended it for its memory limit, in words; what it cannot say is left unsaid. */
  async #killedForMemory(exitCode: number): Promise<string> {
    if (exitCode !== SIGKILLED) return "";
    const container = await this.#env.engine.inspectContainer(this.#containerId).catch(() => undefined);
    return container?.state?.oomKilled ? "out of memory" : "";
  }

  /** Reports RUNNING once the process runs and, where a health check is set, is healthy; stops what is unhealthy. */
  async #observe(): Promise<void> {
    const container = await this.#retry(() => this.#env.engine.inspectContainer(this.#containerId));
    const state = container.state;
    if (state?.status !== "running") return;
    this.#pid = state.pid;
    if (state.health === "unhealthy") {
      this.#stopping ??= this.#stopUnhealthy(state);
    } else if (state.health !== "starting" && this.#state < TaskState.TASK_STATE_RUNNING) {
      if (state.health === "healthy" || (await this.#listens()))
        this.#report(TaskState.TASK_STATE_RUNNING, "started");
    }
  }

  #startedAt = 0;

  /** Without a health check a task that others connect to runs once it takes connections, or has had its time. */
  async #listens(): Promise<boolean> {
    const { ports, patience } = awaitedPorts(this.#task);
    if (patience === 0) return true;
    const { clock, engine } = this.#env;
    this.#startedAt ||= clock.now();
    const waited = clock.now() - this.#startedAt;
    if (waited >= patience) return true;
    // Where the kernel does not tell, its time is what a task has.
    if (await this.#retry(() => engine.listens(this.#containerId, ports)).catch(() => false)) return true;
    clock.after(Math.min(Math.max(waited / 4, 10), 200), () => this.#changed());
    return false;
  }

  #unhealthy = "";

  /** Out of all balancers first, where it is in them: the error says that it serves no more. */
  #stopUnhealthy({ health, healthLog }: ContainerState): Promise<void> {
    const said = healthLog.at(-1)?.output.trim().split("\n")[0]?.slice(0, MAX_HEALTH_OUTPUT) ?? "";
    const err = `${health} container${said === "" ? "" : `: ${said}`}`;
    if (this.#state === TaskState.TASK_STATE_RUNNING) this.#report(this.#state, "unhealthy", err);
    return this.#stop(err);
  }

  async #stop(unhealthy = ""): Promise<void> {
    this.#unhealthy = unhealthy;
    if (isBalanced(this.#task) && this.#state === TaskState.TASK_STATE_RUNNING && unhealthy === "") {
      await sleep(this.#env.clock, DRAIN_MS);
    }
    try {
      await this.#retry(() => this.#env.engine.stopContainer(this.#containerId, graceSeconds(this.#task)));
    } catch (error) {
      if (isCreelError(error, "not_modified") || isCreelError(error, "no_such_container")) return;
      this.#log("warn", { err: messageOf(error) }, "the task's container could not be stopped; trying again");
      await sleep(this.#env.clock, 1000);
      this.#stopping = undefined;
      this.#changed();
    }
  }

  #finish(result: { exitCode: number; error: string }): void {
    const { exitCode } = result;
    if (this.#unhealthy !== "") {
      this.#report(TaskState.TASK_STATE_FAILED, "failed", exitText(exitCode, this.#unhealthy), exitCode);
    } else if (this.#wanted > TaskState.TASK_STATE_RUNNING) {
      this.#report(TaskState.TASK_STATE_SHUTDOWN, "shutdown", "", exitCode);
    } else if (exitCode === 0 && result.error === "") {
      this.#report(TaskState.TASK_STATE_COMPLETE, "finished", "", 0);
    } else {
      this.#report(TaskState.TASK_STATE_FAILED, "failed", exitText(exitCode, result.error), exitCode);
    }
  }

  #report(state: TaskState, message: string, err = "", exitCode = 0): void {
    if (state < this.#state) return;
    this.#state = state;
    const level = state >= TaskState.TASK_STATE_FAILED ? "info" : "debug";
    this.#log(level, { state, err, container: this.#containerId }, message);
    this.#env.report(this.#task.id, {
      state,
      timestamp: this.#env.clock.now(),
      message,
      err,
      containerId: this.#containerId,
      pid: state === TaskState.TASK_STATE_RUNNING ? this.#pid : 0,
      exitCode,
      hostPorts: this.#task.ports.filter((port) => port.publishMode === "host"),
    });
  }

  /** A container that never ran would keep its secrets; the engine forgets those of one that has ended. */
  async #dropUnstarted(): Promise<void> {
    if (keysOf(this.#task.spec!.container!).length > 0) await this.#removeContainer();
  }

  #log(level: "debug" | "info" | "warn" | "error", fields: object, message: string): void {
    const { id, serviceName } = this.#task;
    this.#env.logger[level]({ task: id, service: serviceName, ...fields }, message);
  }

  async #removeContainer(): Promise<void> {
    try {
      await this.#retry(() => this.#env.engine.removeContainer(this.#containerId));
    } catch (error) {
      if (!isCreelError(error, "no_such_container")) {
        this.#log("warn", { err: messageOf(error) }, "the task's container could not be removed");
      }
    }
  }

  /** Resolves at the next change of what is wanted, or of the container. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }

  /** The engine may be away for a moment (it is restarted): such calls are made again, for at most `limit` ms (0: for ever). */
  async #retry<T>(call: () => Promise<T>, limit = 60_000): Promise<T> {
    const since = this.#env.clock.now();
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const away = AWAY.some((code) => isCreelError(error, code));
        if (!away || (limit > 0 && this.#env.clock.now() - since > limit)) throw error;
        await sleep(this.#env.clock, 200);
      }
    }
  }
}

/** Docker's words for how a task's process ended. */
function exitText(exitCode: number, cause: string): string {
  const exit = `task: non-zero exit (${exitCode})`;
  return cause === "" ? exit : `${exit}: ${cause}`;
}
