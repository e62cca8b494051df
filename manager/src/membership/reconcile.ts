import { type Clock, type Logger, messageOf, type Timer } from "@creel/shared";
import { type Node, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { RaftServer } from "node-raft-server";
import type { Replica } from "../replica.ts";
import type { StoreView } from "../store/mod.ts";
import type { Membership } from "./service.ts";

const RETRY_MS = 500;

/** One thing that is to be done to make the Raft group what the nodes' specs say. */
type Step =
  | { kind: "promote"; raftId: number }
  | { kind: "hand-over"; to: number }
  | { kind: "dismiss"; node: Node }
  | { kind: "drop"; raftId: number };

/**
 * The leader's care for the Raft group: learners that have caught up get their vote, demoted managers leave, members
 * without a node are dropped, and managers without a place in the group become workers. One step at a time.
 */
export class GroupKeeper {
  readonly #replica: Replica;
  readonly #raft: RaftServer;
  readonly #membership: Membership;
  readonly #clock: Clock;
  readonly #log: Logger;
  #leading = false;
  #busy = false;
  #again = false;
  #timer: Timer | undefined;

  constructor(options: {
    replica: Replica;
    raft: RaftServer;
    membership: Membership;
    clock: Clock;
    logger: Logger;
  }) {
    this.#replica = options.replica;
    this.#raft = options.raft;
    this.#membership = options.membership;
    this.#clock = options.clock;
    this.#log = options.logger.child({ part: "membership" });
  }

  start(): void {
    this.#leading = true;
    this.wake();
  }

  stop(): void {
    this.#leading = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Something changed: nodes, or the group. */
  wake(): void {
    if (!this.#leading) return;
    this.#again = true;
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#again && this.#leading) {
        this.#again = false;
        const step = this.#next(this.#replica.view());
        if (!step) continue;
        await this.#take(step);
        this.#again = true;
      }
    } catch (error) {
      if (this.#leading) {
        this.#log.warn(
          { error: messageOf(error) },
          "a change of the Raft group did not come to pass; tries again",
        );
        this.#timer?.cancel();
        this.#timer = this.#clock.after(RETRY_MS, () => this.wake());
      }
    } finally {
      this.#busy = false;
    }
  }

  #next(view: StoreView): Step | undefined {
    const { id, voters, learners } = this.#raft.status();
    const byRaftId = new Map<number, Node>();
    for (const node of view.nodes()) if (node.manager) byRaftId.set(node.manager.raftId, node);
    for (const [raftId, node] of byRaftId) {
      if (node.spec?.role === NodeRole.NODE_ROLE_MANAGER) continue;
      if (raftId !== id) return { kind: "dismiss", node };
      const to = voters.find(
        (other) => other !== id && byRaftId.get(other)?.spec?.role === NodeRole.NODE_ROLE_MANAGER,
      );
      if (to !== undefined) return { kind: "hand-over", to };
    }
    for (const [raftId, node] of byRaftId) {
      const known = voters.includes(raftId) || learners.includes(raftId);
      if (!known && !this.#membership.rejoining.has(node.id)) return { kind: "dismiss", node };
    }
    for (const member of [...voters, ...learners]) {
      if (member !== id && !byRaftId.has(member) && !this.#membership.joining.has(member)) {
        return { kind: "drop", raftId: member };
      }
    }
    const learner = learners.find((member) => byRaftId.has(member));
    return learner === undefined ? undefined : { kind: "promote", raftId: learner };
  }

  async #take(step: Step): Promise<void> {
    this.#log.info(
      step.kind === "dismiss" ? { step: step.kind, node: step.node.id } : { step },
      "changes the group",
    );
    switch (step.kind) {
      case "promote":
        return await this.#raft.promote(step.raftId);
      case "hand-over":
        return await this.#raft.transferLeader(step.to);
      case "dismiss":
        return await this.#membership.dismiss(step.node, NodeRole.NODE_ROLE_WORKER);
      case "drop":
        return await this.#raft.remove(step.raftId);
    }
  }
}
