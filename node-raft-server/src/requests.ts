import { CreelError } from "@creel/shared";

interface Waiting {
  resolve: (index: number) => void;
  reject: (error: CreelError) => void;
  bytes: number;
}

/** What was asked of the native side and is not answered yet: bounded in number and bytes. */
export class Requests {
  readonly #waiting = new Map<number, Waiting>();
  readonly #maxCount: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #lastId = 0;

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount;
    this.#maxBytes = maxBytes;
  }

  /** An id for a question that nobody counts. */
  id(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Asks with `ask(id)`; rejects with `queue_full` when too much is waiting already. */
  async add(bytes: number, ask: (id: number) => void): Promise<number> {
    if (this.#waiting.size >= this.#maxCount || (this.#bytes > 0 && this.#bytes + bytes > this.#maxBytes)) {
      throw new CreelError("queue_full");
    }
    const id = this.id();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, bytes });
      this.#bytes += bytes;
      ask(id);
    });
  }

  resolve(id: number, index: number): void {
    this.#take(id)?.resolve(index);
  }

  reject(id: number, error: CreelError): void {
    this.#take(id)?.reject(error);
  }

  rejectAll(error: CreelError): void {
    for (const id of [...this.#waiting.keys()]) this.reject(id, error);
  }

  #take(id: number): Waiting | undefined {
    const found = this.#waiting.get(id);
    if (found && this.#waiting.delete(id)) this.#bytes -= found.bytes;
    return found;
  }
}
