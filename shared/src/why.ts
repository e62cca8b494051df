import type { Millis } from "./clock.ts";

/** What a cause is about, for programs: the text says it to people. */
export type WhyCode =
  | "running"
  | "completed"
  | "made"
  | "stopped"
  | "no-place"
  | "no-address"
  | "restart-delay"
  | "turn"
  | "preparing"
  | "starting"
  | "unhealthy"
  | "failed"
  | "rejected"
  | "restarted"
  | "moved"
  | "update"
  | "update-paused"
  | "node-state"
  | "availability"
  | "resources"
  | "avoided";

/** One link in the chain of causes. */
export interface WhyCause {
  code: WhyCode;
  /** When it came about; 0: it is not known. */
  at: Millis;
  /** When it is over by itself; 0: it is not known. */
  until: Millis;
  text: string;
  /** Names of tasks that it holds for, the first few, and how many these are in all. */
  tasks: string[];
  count: number;
}

/** Why something is as it is. */
export interface Why {
  kind: "service" | "task" | "node";
  id: string;
  name: string;
  /** The managers' time when this was said. */
  now: Millis;
  /** How it is, in one line. */
  summary: string;
  /** Of a service: why it will not come to be as wanted by itself; empty while it may. */
  stuck: string;
  /** Why, the newest first. */
  causes: WhyCause[];
}
