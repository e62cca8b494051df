import type { TaskStatusUpdate } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { StatusReport } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { TaskStatus } from "@creel/shared/gen/cluster/v1/objects.ts";

interface Kept {
  status: TaskStatus;
  sequence: number;
}

/**
 * Keeps the newest status of each task until a majority has it. A status that is overtaken before it was sent is not
 * sent; after a new session everything unacknowledged goes again.
 */
export class Reporter {
  readonly #kept = new Map<string, Kept>();
  readonly #dirty = new Set<string>();
  readonly #wake: () => void;
  #sequence = 0;

  /** `wake` is called when there is something to send. */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  report(taskId: string, status: TaskStatus): void {
    this.#kept.set(taskId, { status, sequence: 0 });
    this.#dirty.add(taskId);
    this.#wake();
  }

  /** The task is gone from the cluster: nobody wants its status. */
  forget(taskId: string): void {
    this.#kept.delete(taskId);
    this.#dirty.delete(taskId);
  }

  /** The next report of at most `max` statuses, or undefined when all was sent. */
  next(max: number): Omit<StatusReport, "taken"> | undefined {
    if (this.#dirty.size === 0) return undefined;
    const sequence = ++this.#sequence;
    const updates: TaskStatusUpdate[] = [];
    for (const taskId of this.#dirty) {
      if (updates.length === max) break;
      this.#dirty.delete(taskId);
      const kept = this.#kept.get(taskId)!;
      kept.sequence = sequence;
      updates.push({ taskId, status: kept.status });
    }
    return { updates, sequence };
  }

  acknowledged(sequence: number): void {
    for (const [taskId, kept] of this.#kept) {
      if (kept.sequence !== 0 && kept.sequence <= sequence && !this.#dirty.has(taskId))
        this.#kept.delete(taskId);
    }
  }

  /** A new session: what was not acknowledged is sent again. */
  resend(): void {
    for (const taskId of this.#kept.keys()) this.#dirty.add(taskId);
  }
}
