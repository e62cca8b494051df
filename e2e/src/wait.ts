import { setTimeout as delay } from "node:timers/promises";

/** Tries `check` until it gives something other than undefined or false, or throws no more; rejects with its last word. */
export async function until<T>(
  what: string,
  check: () => Promise<T | undefined | false>,
  within = 60_000,
): Promise<T> {
  const end = Date.now() + within;
  let last: unknown;
  for (;;) {
    try {
      const result = await check();
      if (result !== undefined && result !== false) return result;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) {
      throw new Error(
        `${what}: not within ${within / 1000} s${last ? `; last: ${(last as Error).message}` : ""}`,
        { cause: last },
      );
    }
    await delay(100);
  }
}
