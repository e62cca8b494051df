import { type Clock, CreelError, type Plan, type Random } from "@creel/shared";
import type { ControlReply, ControlRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import type { RaftStatus } from "node-raft-server";
import { changeFor } from "../control/control.ts";
import type { Store, StoreView } from "../store/mod.ts";
import { differences, unplaced } from "./difference.ts";
import { withoutEachNode } from "./node-loss.ts";
import { Rehearsal } from "./rehearsal.ts";

/** Changes tried on a fork of the store: `control` takes them as a manager does, `finish` tells what they would do. */
export class ChangePlan {
  readonly #before: StoreView;
  readonly #rehearsal: Rehearsal;
  readonly #raft: RaftStatus;
  readonly #ports: { clock: Clock; random: Random };
  readonly #warnings: string[] = [];

  constructor(store: Store, raft: RaftStatus, ports: { clock: Clock; random: Random }) {
    this.#before = store.view();
    this.#rehearsal = new Rehearsal(store, ports);
    this.#raft = raft;
    this.#ports = ports;
  }

  /** With the changes so far, before anything came of them. */
  view(): StoreView {
    return this.#rehearsal.view;
  }

  /** Refuses what the managers would refuse, with the same error. */
  control(request: ControlRequest): ControlReply {
    const context = { view: this.view(), raft: this.#raft, ...this.#ports };
    const { actions, id, warnings } = changeFor(request, context);
    const [refusal] = this.#rehearsal.apply(actions);
    if (refusal) throw new CreelError(refusal.code, refusal.params);
    this.#warnings.push(...warnings);
    return { id, index: this.view().index, warnings, moves: [] };
  }

  /** Lets the changes run to their end. */
  async finish(): Promise<Plan> {
    const complete = await this.#rehearsal.settle();
    const after = this.view();
    const services = differences(this.#before, after);
    const changed = new Set(services.filter(({ change }) => change !== "none").map(({ id }) => id));
    const waiting = new Set(unplaced(this.#before).map((task) => task.id));
    const fits = unplaced(after).every((task) => waiting.has(task.id) && !changed.has(task.serviceId));
    const without = await withoutEachNode(this.#rehearsal.store, this.#ports);
    return {
      index: this.#before.index,
      at: this.#ports.clock.now(),
      services,
      nodeNames: namesOf(this.#before),
      fits,
      withoutANode: { ...without, fits: fits && without.fits },
      complete,
      warnings: this.#warnings,
    };
  }
}

function namesOf(view: StoreView): Record<string, string> {
  return Object.fromEntries(view.nodes().map((node) => [node.id, node.description?.hostname || node.id]));
}
