import { type Clock, type Logger, messageOf, sleep } from "@creel/shared";

const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/** What {@link Wishes} works with. */
export interface WishesOptions {
  clock: Clock;
  logger: Logger;
  /** How the last attempt ended; empty: well. */
  onOutcome?: (error: string) => void;
}

/** What the managers want of a node itself: one thing after another, each tried until it is done or wanted otherwise. */
export class Wishes {
  readonly #options: WishesOptions;
  readonly #wishes = new Map<string, () => Promise<void>>();
  #stopped = false;
  #pause = new AbortController();
  #working: Promise<void> | undefined;

  constructor(options: WishesOptions) {
    this.#options = options;
  }

  /** Takes the place of an earlier wish about the same. */
  ask(what: string, grant: () => Promise<void>): void {
    this.#wishes.delete(what);
    this.#wishes.set(what, grant);
    this.#pause.abort();
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** No more attempts; resolves when the one under way is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#pause.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { clock, logger, onOutcome } = this.#options;
    let wait = RETRY_MS;
    while (!this.#stopped) {
      const [next] = this.#wishes;
      if (!next) return;
      const [what, grant] = next;
      this.#pause = new AbortController();
      let error = "";
      try {
        await grant();
        wait = RETRY_MS;
      } catch (thrown) {
        error = messageOf(thrown);
        logger.warn({ what, error, wait }, "the change is tried again");
      }
      onOutcome?.(error);
      const current = this.#wishes.get(what) === grant;
      if (current) this.#wishes.delete(what);
      if (error === "") continue;
      // the others have their turn before it is tried again
      if (current) this.#wishes.set(what, grant);
      await sleep(clock, wait, this.#pause.signal);
      wait = Math.min(wait * 2, LONGEST_RETRY_MS);
    }
  }
}
