import { CreelError } from "@creel/shared";
import type { RaftFrame } from "@creel/shared/gen/cluster/v1/raft.ts";

/** Puts the parts of one stream's messages together again, up to a bound. */
export class Assembly {
  readonly #max: number;
  #parts: Uint8Array[] = [];
  #size = 0;
  #message = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** The whole message once its last part is there; throws when the parts do not belong together. */
  add(frame: RaftFrame): Uint8Array | undefined {
    if (this.#parts.length > 0 && frame.message !== this.#message) {
      throw new CreelError("invalid_parameter", {
        message: "a part of another raft message came in between",
      });
    }
    this.#message = frame.message;
    this.#size += frame.data.length;
    if (this.#size > this.#max) throw new CreelError("too_large", { size: this.#size, max: this.#max });
    if (!frame.more && this.#parts.length === 0) {
      this.#size = 0;
      return frame.data;
    }
    this.#parts.push(frame.data);
    if (frame.more) return undefined;
    const whole = Buffer.concat(this.#parts, this.#size);
    this.#parts = [];
    this.#size = 0;
    return whole;
  }
}
