import { type Logger, messageOf } from "@creel/shared";
import type { Task } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Container } from "@creel/shared/gen/engine/v1/container.ts";
import type { Engine } from "../ports.ts";
import { TASK_LABEL } from "./spec.ts";
import { type TaskEnvironment, TaskRunner } from "./task.ts";

/** All tasks of this node, by id. */
export class Tasks {
  readonly #env: TaskEnvironment;
  readonly #engine: Engine;
  readonly #logger: Logger;
  readonly #runners = new Map<string, TaskRunner>();
  /** Containers of tasks that were here when the worker started and that no assignment has named yet. */
  readonly #found = new Map<string, Container>();

  constructor(env: TaskEnvironment) {
    this.#env = env;
    this.#engine = env.engine;
    this.#logger = env.logger;
  }

  /** Learns which tasks' containers exist; once, before the first assignment. */
  async adopt(): Promise<void> {
    for (const container of await this.#engine.containers(TASK_LABEL)) {
      const id = container.spec?.labels[TASK_LABEL];
      if (id !== undefined) this.#found.set(id, container);
    }
  }

  set(task: Task): void {
    const runner = this.#runners.get(task.id);
    if (runner !== undefined) {
      runner.update(task);
      return;
    }
    this.#runners.set(task.id, new TaskRunner(this.#env, task, this.#found.get(task.id)));
    this.#found.delete(task.id);
  }

  /** The task's container is stopped and removed, in the background. */
  remove(taskId: string): void {
    const runner = this.#runners.get(taskId);
    if (runner === undefined) return;
    this.#runners.delete(taskId);
    runner
      .remove()
      .catch((error: unknown) =>
        this.#logger.warn({ task: taskId, err: messageOf(error) }, "task not removed"),
      );
  }

  /** What a full assignment does not name is to go: tasks, and containers of tasks nobody knows any more. */
  retain(taskIds: ReadonlySet<string>): void {
    for (const id of this.#runners.keys()) if (!taskIds.has(id)) this.remove(id);
    for (const [id, container] of this.#found) {
      if (taskIds.has(id)) continue;
      this.#found.delete(id);
      this.#engine
        .removeContainer(container.id)
        .catch((error: unknown) =>
          this.#logger.warn({ container: container.id, err: messageOf(error) }, "orphan not removed"),
        );
    }
  }

  /** The engine says that this container's state may have changed. */
  poke(containerId: string): void {
    for (const runner of this.#runners.values()) if (runner.containerId === containerId) runner.poke();
  }

  /** The container of a task, or undefined when the task is not here or has none yet. */
  containerOf(taskId: string): string | undefined {
    return this.#runners.get(taskId)?.containerId || undefined;
  }
}
