import { type Clock, CreelError } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { Proposed } from "./replica.ts";
import type { Refusal } from "./store/mod.ts";

/** Changes in one entry; more would make followers and the leader's own loops wait for it. */
const MAX_CHANGES = 1_000;
const MAX_WAITING = 20_000;

/** How many changes an action holds. */
export function weight({ kind }: Action): number {
  switch (kind?.$case) {
    case "createTasks":
    case "allocateTasks":
    case "assignTasks":
      return kind.value.tasks.length;
    case "setDesiredState":
    case "removeTasks":
      return kind.value.taskIds.length;
    case "statusBatch":
      return kind.value.updates.length;
    default:
      return 1;
  }
}

/** Actions in runs of at most {@link MAX_CHANGES} changes (an action by itself may hold more). */
export function inEntries(actions: Action[]): Action[][] {
  const entries: Action[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const action of actions) {
    const more = weight(action);
    if (size + more > MAX_CHANGES) {
      entries.push([]);
      size = 0;
    }
    entries.at(-1)!.push(action);
    size += more;
  }
  return entries;
}

interface Waiting {
  action: Action;
  resolve: (refusals: readonly Refusal[]) => void;
  reject: (error: unknown) => void;
}

/**
 * Gathers the small changes of many agents into few entries: what comes while one entry is under way goes into the
 * next.
 */
export class Batcher {
  readonly #propose: (actions: Action[]) => Promise<Proposed>;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #scheduled = false;

  constructor(propose: (actions: Action[]) => Promise<Proposed>, clock: Clock) {
    this.#propose = propose;
    this.#clock = clock;
  }

  /** Resolves when the action was applied, with what of it was refused. */
  add(action: Action): Promise<readonly Refusal[]> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.reject(new CreelError("queue_full"));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ action, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.after(0, () => void this.#drain());
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        const { refusals } = await this.#propose(batch.map((waiting) => waiting.action));
        batch.forEach((waiting, position) => {
          waiting.resolve(refusals.filter((refusal) => refusal.action === position));
        });
      } catch (error) {
        for (const waiting of batch) waiting.reject(error);
      }
    }
    this.#scheduled = false;
  }

  #take(): Waiting[] {
    let size = 0;
    let count = 0;
    while (count < this.#waiting.length) {
      size += weight(this.#waiting[count]!.action);
      if (count > 0 && size > MAX_CHANGES) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }
}
