import type { NodeFacts } from "@creel/api";
import type { Clock, CreelError, Logger, Random } from "@creel/shared";
import type { EngineClient } from "@creel/worker";
import type { EngineKeeper } from "../engine.ts";

/** What a node's part in a cluster is built on. */
export interface NodeParts {
  engine: EngineClient;
  engineKeeper: EngineKeeper;
  facts: NodeFacts;
  hostname(): string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Told of each change that this node's manager had agreed on: the ms it took. */
  onProposed(ms: number): void;
  /** Told of what makes it pointless to go on: data of a newer version. */
  onFatal(error: CreelError): void;
}
