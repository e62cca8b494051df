import { type Clock, sleep } from "@creel/shared";
import {
  type NativeDisk,
  type NativeEvent,
  type NativeRaft,
  type NodeOpener,
  openStepped,
  type SteppedRaft,
} from "../native.ts";
import type { MemoryDisk } from "./disk.ts";

const COMMANDS = [
  "tick",
  "propose",
  "change",
  "readIndex",
  "transferLeader",
  "campaign",
  "receive",
  "unreachable",
  "snapshotSent",
  "consumed",
  "snapshot",
  "stop",
] as const satisfies (keyof NativeRaft)[];

/**
 * For `openRaft`: the node runs on the caller's thread, on a disk in memory, and its syncs take their time on `clock`.
 * Nothing it does depends on anything but its commands, their order and the clock.
 */
export function steppedOpener(disk: MemoryDisk, clock: Clock): NodeOpener {
  return async (options, sink) => {
    const stepper = new Stepper(await openStepped(options, disk.native), disk, clock, sink);
    return stepper.door();
  };
}

/** Runs a node as its thread would: what comes while the disk is syncing waits, and is done together. */
class Stepper {
  readonly #node: SteppedRaft;
  readonly #disk: MemoryDisk;
  readonly #native: NativeDisk;
  readonly #clock: Clock;
  readonly #sink: (events: NativeEvent[]) => void;
  #running = false;
  #waiting = false;

  constructor(node: SteppedRaft, disk: MemoryDisk, clock: Clock, sink: (events: NativeEvent[]) => void) {
    this.#node = node;
    this.#disk = disk;
    this.#native = disk.native;
    this.#clock = clock;
    this.#sink = sink;
  }

  door(): NativeRaft {
    const door: Record<string, unknown> = { release: () => this.#node.release() };
    for (const name of COMMANDS) {
      const command = this.#node[name].bind(this.#node) as (...args: unknown[]) => unknown;
      door[name] = (...args: unknown[]) => {
        const result = command(...args);
        this.#wake();
        return result;
      };
    }
    this.#wake();
    return door as unknown as NativeRaft;
  }

  #wake(): void {
    this.#waiting = true;
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#waiting) {
      this.#waiting = false;
      let settled = 0;
      for (const { events, syncs } of this.#node.run()) {
        if (syncs > settled) await this.#sync(syncs - settled);
        settled = syncs;
        if (events.length > 0) this.#sink(events);
      }
      const rest = this.#native.syncing();
      if (rest > 0) await this.#sync(rest);
    }
    this.#running = false;
  }

  async #sync(writes: number): Promise<void> {
    await sleep(this.#clock, this.#disk.syncMs());
    this.#native.settle(writes);
  }
}
