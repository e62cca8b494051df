import { type Clock, type Logger, messageOf, type Timer } from "@creel/shared";
import { type MembershipServer, MembershipService } from "@creel/shared/gen/cluster/v1/ca.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Peers } from "@creel/shared/tls";
import type { RaftServer } from "node-raft-server";

const ASK_EVERY_MS = 10_000;
const CALL_TIMEOUT_MS = 15_000;

export interface StandingOptions {
  raft: RaftServer;
  peers: Peers;
  clock: Clock;
  logger: Logger;
  onRemoved: () => void;
}

/**
 * A manager that was taken out of the group while it could not be reached hears nothing of it: nobody speaks to it any
 * more. So one that knows no leader for a while asks the others.
 */
export class StandingWatch {
  readonly #options: StandingOptions;
  #timer: Timer | undefined;
  #stopped = false;
  #turn = 0;

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#stopped) return;
    const lost = this.#isLost();
    this.#timer = this.#options.clock.after(ASK_EVERY_MS, () => {
      if (!lost || !this.#isLost()) this.start();
      else void this.#ask().finally(() => this.start());
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #isLost(): boolean {
    return this.#options.raft.status().leader === 0;
  }

  async #ask(): Promise<void> {
    const { raft, peers, logger, onRemoved } = this.#options;
    const { id, peers: members } = raft.status();
    const others = members.filter((member) => member.id !== id);
    const other = others[this.#turn++ % others.length];
    if (!other) return;
    const expected = { role: NodeRole.NODE_ROLE_MANAGER };
    const peer = peers.open<MembershipServer>(MembershipService, other.address, expected, CALL_TIMEOUT_MS);
    try {
      const { removed } = await peer.calls.standing({ raftId: id });
      if (!removed || this.#stopped) return;
      logger.warn({ asked: other.address }, "this manager was taken out of the group");
      onRemoved();
    } catch (error) {
      logger.debug({ asked: other.address, error: messageOf(error) }, "not known whether still a member");
    } finally {
      peer.close();
    }
  }
}
