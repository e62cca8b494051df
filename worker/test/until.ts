import { setTimeout as delay } from "node:timers/promises";

const PATIENCE_MS = 20_000;

/** Waits until `reached` gives something; no test of how fast. */
export async function until<T>(what: string, reached: () => T | undefined | false): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = reached();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await delay(5);
  }
}
