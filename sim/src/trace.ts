import { createHash } from "node:crypto";
import { START, type VirtualTime } from "./time.ts";

/** What happened, in words, line by line. */
export class Trace {
  readonly lines: string[] = [];
  readonly #time: VirtualTime;

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  say(who: string, what: string): void {
    const seconds = ((this.#time.now - START) / 1000).toFixed(3);
    this.lines.push(`${seconds.padStart(9)}  ${who.padEnd(8)} ${what}`);
  }

  /** The same for two runs only if they were the same. */
  digest(): string {
    const hash = createHash("sha256");
    for (const line of this.lines) hash.update(`${line}\n`);
    return hash.digest("hex");
  }
}
