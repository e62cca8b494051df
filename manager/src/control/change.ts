import type { Clock, Random } from "@creel/shared";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { Move } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { RaftStatus } from "node-raft-server";
import type { StoreView } from "../store/mod.ts";

/** What a request is checked against. */
export interface ControlContext {
  view: StoreView;
  raft: RaftStatus;
  clock: Clock;
  random: Random;
}

/** What a request comes to: the actions to propose (all or none are refused), and the id of what was made. */
export interface Change {
  actions: Action[];
  id: string;
  warnings: string[];
  /** Of a rebalance: what it moves. */
  moves?: Move[];
}
