import type { World } from "../world.ts";
import { demotedUnheard } from "./demoted-unheard.ts";
import { firstManagerReturns } from "./first-manager-returns.ts";
import { messagesOutOfOrder } from "./messages-out-of-order.ts";

/** Something that a random life met once, without the rest of that life. It went wrong before it was put right. */
export interface Scenario {
  name: string;
  /** The world afterwards; its `failure` says what went wrong. */
  play(): Promise<World>;
}

export const scenarios: Scenario[] = [firstManagerReturns, demotedUnheard, messagesOutOfOrder];
