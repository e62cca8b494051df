import type { Logger, Random } from "@creel/shared";
import type { Switchboard } from "./calls.ts";
import type { LogWatch } from "./checks/log.ts";
import type { Network } from "./network.ts";
import type { RaftWires } from "./raft.ts";
import type { VirtualTime } from "./time.ts";
import type { Trace } from "./trace.ts";

/** What all machines of a simulated world share. */
export interface Parts {
  time: VirtualTime;
  random: Random;
  trace: Trace;
  network: Network;
  switchboard: Switchboard;
  wires: RaftWires;
  watch: LogWatch;
  logger: Logger;
  /** Something happened that must not. */
  fail(what: string): void;
}
