import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Change, type ChangeSet, isFinished, type StoreView, type TaskRecord } from "../store/mod.ts";

/** A place that one task of a service fills at a time: its slot's number, or its node for a global service. */
export type SlotKey = number | string;

export function isGlobal(service: Service): boolean {
  return service.spec?.mode?.$case === "global";
}

export function isReplicated(service: Service): boolean {
  return service.spec?.mode?.$case === "replicated";
}

/** Its tasks come to an end and are then done. */
export function isJob(service: Service): boolean {
  const mode = service.spec?.mode?.$case;
  return mode === "replicatedJob" || mode === "globalJob";
}

/** It has one task on each node, not a number of them. */
export function isPerNode(service: Service): boolean {
  const mode = service.spec?.mode?.$case;
  return mode === "global" || mode === "globalJob";
}

function slotKey(service: Service, task: TaskRecord): SlotKey {
  return isPerNode(service) ? task.nodeId : task.slot;
}

/** A service's tasks by slot, in each slot the oldest first. */
export function slotsOf(view: StoreView, service: Service): Map<SlotKey, TaskRecord[]> {
  const slots = new Map<SlotKey, TaskRecord[]>();
  for (const task of view.recordsOfService(service.id)) {
    const key = slotKey(service, task);
    const slot = slots.get(key);
    if (slot) slot.push(task);
    else slots.set(key, [task]);
  }
  for (const slot of slots.values()) if (slot.length > 1) slot.sort(byAge);
  return slots;
}

/** Looks up slots of one view; a service's tasks are put in order once. */
export class SlotFinder {
  private readonly view: StoreView;
  private readonly known = new Map<string, Map<SlotKey, TaskRecord[]>>();

  constructor(view: StoreView) {
    this.view = view;
  }

  /** All tasks of the task's slot, the oldest first. */
  slotOf(service: Service, task: TaskRecord): TaskRecord[] {
    let slots = this.known.get(service.id);
    if (!slots) {
      slots = slotsOf(this.view, service);
      this.known.set(service.id, slots);
    }
    return slots.get(slotKey(service, task)) ?? [];
  }
}

export function byAge(a: TaskRecord, b: TaskRecord): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** Ids of the services that the changes touch, by themselves or by a task of theirs. */
export function touchedServices(view: StoreView, changed: ChangeSet): Set<string> {
  return touched(view, changed, () => true);
}

/** The same without services whose tasks only got on, on their way to run: none of their slots is to be changed for it. */
export function servicesWithTurns(view: StoreView, changed: ChangeSet): Set<string> {
  return touched(view, changed, (change) => !isProgress(change));
}

function touched(view: StoreView, changed: ChangeSet, matters: (change: Change<TaskRecord>) => boolean) {
  if (changed.full) return new Set(view.services().map((s) => s.id));
  const ids = new Set(changed.services.keys());
  for (const change of changed.tasks.values()) {
    if (matters(change)) ids.add((change.after ?? change.before)!.serviceId);
  }
  return ids;
}

/** That one runs which took another's place is more than its own business. */
function isProgress({ before, after }: Change<TaskRecord>): boolean {
  if (!before || !after) return false;
  const runsNow = after.state === TaskState.TASK_STATE_RUNNING && before.state !== after.state;
  return (
    before.group === after.group &&
    before.desiredState === after.desiredState &&
    isFinished(before) === isFinished(after) &&
    !(runsNow && after.madeBy?.kind !== CauseKind.CAUSE_MODE)
  );
}
