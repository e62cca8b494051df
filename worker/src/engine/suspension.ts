import type { CallLimits, Calls, CreelError } from "@creel/shared";

type Unary = (request: unknown, limits: CallLimits) => Promise<unknown>;
type Stream = (request: unknown, limits: CallLimits) => AsyncIterable<unknown>;

/** Calls to a side that stands still: all fail at once, those under way too, until it is known to go on. */
export class Suspension {
  #error: CreelError | undefined;
  #over = new AbortController();

  begin(error: CreelError): void {
    this.#error = error;
    this.#over.abort();
  }

  end(): void {
    if (this.#error === undefined) return;
    this.#error = undefined;
    this.#over = new AbortController();
  }

  /** The same calls, which a suspension ends with its error. */
  guard<S>(calls: Calls<S>, service: Record<string, { responseStream: boolean }>): Calls<S> {
    const guarded = Object.entries(calls as Record<string, Unary | Stream>).map(([name, call]) => [
      name,
      service[name]!.responseStream ? this.#stream(call as Stream) : this.#unary(call as Unary),
    ]);
    return Object.fromEntries(guarded) as Calls<S>;
  }

  #limits(limits: CallLimits): CallLimits {
    const { signal } = this.#over;
    return { ...limits, signal: limits.signal ? AbortSignal.any([limits.signal, signal]) : signal };
  }

  #unary(call: Unary) {
    return async (request: unknown, limits: CallLimits = {}) => {
      if (this.#error) throw this.#error;
      try {
        return await call(request, this.#limits(limits));
      } catch (error) {
        throw this.#error ?? error;
      }
    };
  }

  #stream(call: Stream) {
    const guard = this;
    return async function* (request: unknown, limits: CallLimits = {}) {
      if (guard.#error) throw guard.#error;
      yield* call(request, guard.#limits(limits));
      // an aborted stream ends without a word
      if (guard.#error) throw guard.#error;
    };
  }
}
