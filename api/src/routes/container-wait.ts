import { isCreelError, sleep } from "@creel/shared";
import type { WaitResult } from "@creel/shared/gen/engine/v1/container.ts";
import type { ApiContext } from "../context.ts";

/** How long an engine may be away while somebody waits for a container. */
const ABSENCE_MS = 60_000;
const LOOK_MS = 100;

/**
 * Waits for a container as the engine does (`condition`: not-running, next-exit or removed), also across a restart of
 * the engine: what ended meanwhile counts. `armed` is called once, when nothing can be missed any more. Gives undefined
 * where the engine ends the wait without a result; rejects with the engine's error.
 */
export async function waitForEnd(
  context: ApiContext,
  id: string,
  condition: string,
  signal: AbortSignal,
  armed: () => void,
): Promise<WaitResult | undefined> {
  const { engine, clock } = context;
  let since: number | undefined;
  for (;;) {
    try {
      for await (const { kind } of engine.containers.wait({ id, condition }, { signal })) {
        if (kind?.$case === "result") return kind.value;
        if (since === undefined) armed();
        since ??= clock.now();
      }
      return undefined;
    } catch (error) {
      if (since === undefined || signal.aborted || !isAway(error)) throw error;
    }
    const result = await endSince(context, id, condition, since, signal);
    if (result !== undefined) return result;
  }
}

function isAway(error: unknown): boolean {
  return isCreelError(error, "engine_unavailable") || isCreelError(error, "stopped");
}

/** Once the engine is back: how the container has ended since then, if it has. */
async function endSince(
  { engine, clock }: ApiContext,
  id: string,
  condition: string,
  since: number,
  signal: AbortSignal,
): Promise<WaitResult | undefined> {
  const end = clock.now() + ABSENCE_MS;
  for (;;) {
    await sleep(clock, LOOK_MS, signal);
    try {
      const { state } = await engine.containers.inspect({ id });
      if (condition !== "next-exit" || state === undefined || state.status === "running") return undefined;
      const finished = Number(BigInt(state.finishedNanos) / 1_000_000n);
      return finished >= since ? { exitCode: state.exitCode, error: state.error } : undefined;
    } catch (error) {
      if (isCreelError(error, "no_such_container")) return { exitCode: 0, error: "" };
      if (signal.aborted || !isAway(error) || clock.now() > end) throw error;
    }
  }
}
