import type { Millis } from "./clock.ts";

/** What becomes of one task; `wait`: it has no place. */
export type PlannedAction = "create" | "keep" | "replace" | "move" | "stop" | "wait";

/** One task of a service as a plan has it. */
export interface PlannedTask {
  action: PlannedAction;
  /** The slot's number; 0 for global services. */
  slot: number;
  /** Of the task as it is now; empty where there is none. */
  taskId: string;
  /** Where it will be; empty: nowhere. */
  nodeId: string;
  /** Where it is now; empty: nowhere. */
  fromNodeId: string;
  /** Why it has to wait. */
  reason: string;
}

/** What becomes of one service. */
export interface PlannedService {
  id: string;
  name: string;
  change: "create" | "update" | "remove" | "none";
  tasks: PlannedTask[];
}

/** Tasks of one service that a node's loss leaves without a place. */
export interface Unplaced {
  serviceId: string;
  serviceName: string;
  tasks: number;
  reason: string;
}

/** What a change would do. */
export interface Plan {
  /** Log index of the state that it was made from. */
  index: number;
  at: Millis;
  services: PlannedService[];
  /** Names of the nodes that it speaks of, by id. */
  nodeNames: Record<string, string>;
  /** No task waits for a place that did not before. */
  fits: boolean;
  /** Whether all would find a place again with any one node fewer. */
  withoutANode: {
    fits: boolean;
    /** Nodes that were looked at, of those that run tasks; fewer than all where the time for it was over. */
    checked: number;
    nodes: number;
    losses: { nodeId: string; unplaced: Unplaced[] }[];
  };
  /** False: the plan was cut off before everything had come to rest. */
  complete: boolean;
  warnings: string[];
}
