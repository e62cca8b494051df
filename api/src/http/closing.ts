import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** What was asked before a stop is answered, if it takes no longer. */
const GRACE = 5_000;
/** An answer that has begun may be at its last bytes, or be a stream that never ends by itself. */
const LAST_BYTES = 250;
const LOOK = 20;

/** The answers that are under way, so that a stop can let them end. */
export class OpenAnswers {
  readonly #open = new Set<ServerResponse>();

  add(response: ServerResponse): void {
    this.#open.add(response);
    response.once("close", () => this.#open.delete(response));
  }

  /** Resolves when every request has its answer and only streams are left, after `grace` and a moment at the latest. */
  async settle(grace = GRACE): Promise<void> {
    await within(grace, () => [...this.#open].every((response) => response.headersSent));
    await within(LAST_BYTES, () => this.#open.size === 0);
  }
}

async function within(ms: number, done: () => boolean): Promise<void> {
  const end = performance.now() + ms;
  while (!done() && performance.now() < end) await delay(LOOK);
}
