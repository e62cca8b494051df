/** What a bench must undo, done in reverse order whatever happens. */
export class Cleanup {
  #steps: { what: string; undo: () => unknown }[] = [];

  /** Registers a step before the thing it undoes is made; the step must be harmless when there is nothing to undo. */
  add(what: string, undo: () => unknown): void {
    this.#steps.push({ what, undo });
  }

  /** Undoes everything; each step is tried even when others fail. */
  async run(): Promise<void> {
    const failed: string[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        failed.push(`${step.what}: ${(error as Error).message}`);
      }
    }
    if (failed.length > 0) throw new Error(`left behind: ${failed.join("; ")}`);
  }
}

/** Runs `work` with a stack of its own; an interrupt undoes everything, too. */
export async function withCleanup<T>(work: (cleanup: Cleanup) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  let interrupted: ((error: Error) => void) | undefined;
  const interrupt = new Promise<never>((_, reject) => {
    interrupted = reject;
  });
  const onSignal = (signal: string) => interrupted!(new Error(`ended by ${signal}`));
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    return await Promise.race([work(cleanup), interrupt]);
  } finally {
    await cleanup.run();
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}
