import type { Lab } from "../../../tools/src/lab/lab.ts";
import type { Random } from "../random.ts";
import { type Program, programsOf, type Victim } from "./programs.ts";

/** Kills programs of one host, and remembers what that may have done to whom. */
export class Killer {
  /** How many of each were killed. */
  readonly kills: Record<Victim, number> = { creeld: 0, engine: 0, shim: 0 };
  /** Containers that may have ended because their shim was killed. */
  readonly orphans = new Set<string>();
  readonly #lab: Lab;
  readonly #node: string;
  readonly #random: Random;

  constructor(lab: Lab, node: string, random: Random) {
    this.#lab = lab;
    this.#node = node;
    this.#random = random;
  }

  /** Kills one of these programs, whichever chance takes; false where none runs. */
  kill(victim: Victim): boolean {
    const running = programsOf(this.#lab, this.#node).filter((program) => program.victim === victim);
    const program: Program | undefined = running[this.#random(Math.max(running.length, 1))];
    if (program === undefined) return false;
    // before the kill: what follows from it must not be seen without its cause
    if (program.container !== undefined) this.orphans.add(program.container);
    this.kills[victim]++;
    try {
      process.kill(program.pid, "SIGKILL");
    } catch {
      return false;
    }
    return true;
  }
}
