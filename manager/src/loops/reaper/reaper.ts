import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished, isWanted, type StoreView, type TaskRecord } from "../../store/mod.ts";
import { cause, inBatches, setDesiredState } from "../actions.ts";
import type { Loop } from "../loop.ts";
import { historyNeeded } from "../restart-policy.ts";
import { servicesWithTurns, slotsOf } from "../slots.ts";

const DEFAULT_HISTORY = 5;

/**
 * How long a task that ended with its service is still told. A client that waits until a service's tasks have ended looks
 * for tasks in such a state, and must get to see one.
 */
const FAREWELL_MS = 250;

/** Forgets tasks that nobody needs: those to be removed once they are finished, and old ones beyond the history. */
export function reaper(): Loop {
  const parting = new Set<string>();
  return (view, changed, { now }) => {
    const touched = servicesWithTurns(view, changed);
    if (changed.full) for (const task of view.records()) touched.add(task.serviceId);
    for (const id of parting) touched.add(id);
    parting.clear();
    const remove: string[] = [];
    const mark: string[] = [];
    let wakeAt = Number.POSITIVE_INFINITY;
    for (const id of touched) {
      const service = view.service(id);
      for (const task of view.recordsOfService(id)) {
        const until = service === undefined && isFinished(task) ? task.updatedAt + FAREWELL_MS : 0;
        if (until > now) {
          parting.add(id);
          wakeAt = Math.min(wakeAt, until);
        } else if (isForgotten(task, service === undefined)) remove.push(task.id);
        else if (!service && task.desiredState < TaskState.TASK_STATE_REMOVE) mark.push(task.id);
      }
      if (service) remove.push(...beyondHistory(view, service));
    }
    const why = cause(CauseKind.CAUSE_SERVICE_REMOVED);
    const actions = [...setDesiredState(mark, TaskState.TASK_STATE_REMOVE, why), ...removeTasks(remove)];
    return parting.size > 0 ? { actions, wakeAt } : { actions };
  };
}

function isForgotten(task: TaskRecord, serviceGone: boolean): boolean {
  const neverRan = task.state < TaskState.TASK_STATE_ASSIGNED;
  if (serviceGone || task.desiredState === TaskState.TASK_STATE_REMOVE) return neverRan || isFinished(task);
  return neverRan && !isWanted(task);
}

function beyondHistory(view: StoreView, service: Service): string[] {
  const limit = Math.max(view.cluster().spec?.taskHistoryLimit ?? DEFAULT_HISTORY, historyNeeded(service));
  const ids: string[] = [];
  for (const slot of slotsOf(view, service).values()) {
    if (slot.length <= limit) continue;
    const past = slot.filter((t) => isFinished(t) && t.desiredState === TaskState.TASK_STATE_SHUTDOWN);
    for (const task of past.slice(0, Math.max(0, past.length - limit))) ids.push(task.id);
  }
  return ids;
}

function removeTasks(taskIds: string[]): Action[] {
  return inBatches(taskIds).map((batch) => ({ kind: { $case: "removeTasks", value: { taskIds: batch } } }));
}
