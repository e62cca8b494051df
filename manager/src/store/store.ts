import type { Millis } from "@creel/shared";
import type { Action, Entry } from "@creel/shared/gen/cluster/v1/actions.ts";
import * as attachments from "./apply-attachments.ts";
import * as data from "./apply-data.ts";
import * as objects from "./apply-objects.ts";
import * as tasks from "./apply-tasks.ts";
import { type ChangeSet, fullChange } from "./changes.ts";
import { Draft, deny, type Outcome } from "./draft.ts";
import { readSnapshot } from "./snapshot.ts";
import { Tables } from "./tables.ts";
import type { StoreView } from "./view.ts";

/**
 * The cluster's state, and its only writer. `apply` is pure and total: the same entries give the same store on every
 * manager, and no decoded entry makes it throw.
 */
export class Store {
  private tables = new Tables();
  private index = 0;
  private time: Millis = 0;
  private current: StoreView | undefined;

  /** Carries out the actions in order. What cannot be is left out and named in `refusals`. */
  apply(entry: Entry, index: number): ChangeSet {
    const draft = new Draft(this.tables, this.index, index, Math.max(entry.time, this.time));
    entry.actions.forEach((action, position) => {
      draft.action = position;
      draft.note(carryOut(draft, action));
    });
    this.index = index;
    this.time = draft.time;
    this.current = undefined;
    return draft.done();
  }

  /** The state now, for ever; O(1). */
  view(): StoreView {
    this.current ??= this.tables.view(this.index, this.time);
    return this.current;
  }

  /** Another store with the same state, to try things in: neither sees what the other applies. */
  fork(): Store {
    const copy = new Store();
    copy.tables = this.tables.fork();
    copy.index = this.index;
    copy.time = this.time;
    return copy;
  }

  /** Takes the state of a snapshot in place of its own. Views taken before stay what they are. */
  restore(snapshot: Uint8Array): ChangeSet {
    const { tables, index, time } = readSnapshot(snapshot);
    this.tables = tables;
    this.index = index;
    this.time = time;
    this.current = undefined;
    return fullChange(index, time);
  }
}

function carryOut(draft: Draft, { kind }: Action): Outcome {
  switch (kind?.$case) {
    case "putCluster":
      return objects.putCluster(draft, kind.value);
    case "setRebalance":
      return objects.setRebalance(draft, kind.value);
    case "putNode":
      return objects.putNode(draft, kind.value);
    case "removeNode":
      return objects.removeNode(draft, kind.value);
    case "setNodeStatus":
      return objects.setNodeStatus(draft, kind.value);
    case "allocateNode":
      return objects.allocateNode(draft, kind.value);
    case "setAttachments":
      return attachments.setAttachments(draft, kind.value);
    case "allocateAttachments":
      return attachments.allocateAttachments(draft, kind.value);
    case "putService":
      return objects.putService(draft, kind.value);
    case "removeService":
      return objects.removeService(draft, kind.value);
    case "setUpdateStatus":
      return objects.setUpdateStatus(draft, kind.value);
    case "allocateService":
      return objects.allocateService(draft, kind.value);
    case "putNetwork":
      return objects.putNetwork(draft, kind.value);
    case "removeNetwork":
      return objects.removeNetwork(draft, kind.value);
    case "allocateNetwork":
      return objects.allocateNetwork(draft, kind.value);
    case "putSecret":
      return data.putSecret(draft, kind.value);
    case "removeSecret":
      return data.removeSecret(draft, kind.value);
    case "putConfig":
      return data.putConfig(draft, kind.value);
    case "removeConfig":
      return data.removeConfig(draft, kind.value);
    case "setRevision":
      return data.setRevision(draft, kind.value);
    case "createTasks":
      return tasks.createTasks(draft, kind.value);
    case "allocateTasks":
      tasks.allocateTasks(draft, kind.value);
      return undefined;
    case "assignTasks":
      tasks.assignTasks(draft, kind.value);
      return undefined;
    case "adoptTasks":
      return tasks.adoptTasks(draft, kind.value);
    case "setDesiredState":
      tasks.setDesiredState(draft, kind.value);
      return undefined;
    case "statusBatch":
      tasks.statusBatch(draft, kind.value);
      return undefined;
    case "removeTasks":
      tasks.removeTasks(draft, kind.value);
      return undefined;
    case undefined:
      return deny("unsupported", { message: "an action of a newer version" });
  }
}
