import type { Cleanup } from "./cleanup.ts";
import type { Measure } from "./measure.ts";
import type { Peer } from "./peers.ts";

/** What a bench gets. */
export interface Run {
  cleanup: Cleanup;
  rounds: number;
  say: (line: string) => void;
}

/** One bench. */
export interface Bench {
  /** Programs of others that it compares with, where they are installed. */
  peers: Peer[];
  /** Those of them without which it measures nothing. */
  needs: Peer[];
  /** How often each side is measured, unless the person says otherwise. */
  rounds: number;
  run(run: Run): Promise<Measure[]>;
}
