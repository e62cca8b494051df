import { type NativeDisk, newDisk } from "../native.ts";

/**
 * A disk in memory for one simulated node; it outlives the node. What was not synced is lost with the power, and a write
 * takes as long to be synced as `syncMs` says. raft-engine's own code has no part in it.
 */
export class MemoryDisk {
  /** What is on it; another object after a power cut, so that nothing from before it writes any more. */
  native: NativeDisk = newDisk();
  /** How long the next sync takes. */
  syncMs: () => number = () => 1;

  /** Writes that a power cut would take. */
  get pending(): number {
    return this.native.pending();
  }

  /** The power goes. `kept` of the pending writes, the oldest, reached the disk all the same; the next one is torn. */
  crash(kept: number): void {
    this.native = this.native.crash(kept);
  }

  /** Everything on it goes. */
  wipe(): void {
    this.native = newDisk();
  }

  /** So much room is left; undefined: there is no end to it. */
  setFree(bytes: number | undefined): void {
    this.native.setFree(bytes ?? -1);
  }
}
