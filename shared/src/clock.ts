/** Milliseconds since the epoch. */
export type Millis = number;

/** A wait that can be called off. */
export interface Timer {
  cancel(): void;
}

/** Time as a port: production hands in {@link systemClock}, a simulation its own. */
export interface Clock {
  now(): Millis;
  /** Calls `fn` once, `ms` milliseconds from now. The timer alone does not keep the process alive. */
  after(ms: number, fn: () => void): Timer;
}

/** The machine's clock; its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

/** Resolves `ms` milliseconds from now, on the given clock; at once when `signal` aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal?.addEventListener("abort", done);
  });
}
