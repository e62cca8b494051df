import type { Millis } from "@creel/shared";
import type { Action, NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  CauseKind,
  type Service,
  TaskState,
  type UpdateStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView, TaskRecord } from "../../store/mod.ts";
import { adoptTasks, cause, createTasks, setDesiredState } from "../actions.ts";
import type { Loop, LoopContext, LoopResult } from "../loop.ts";
import { isGlobal, isReplicated, servicesWithTurns, slotsOf } from "../slots.ts";
import { adoptable } from "./outdated.ts";
import { isRollback, isUpdating, type UpdateSettings, updateSettings } from "./settings.ts";
import {
  busyUntil,
  hasFailedAtOnce,
  isDirty,
  isMixed,
  mayStopOld,
  readSlot,
  type SlotState,
} from "./slot-state.ts";

/** Replaces tasks of an older spec version, a few slots at a time, and stops or turns back when new ones fail. */
export const updater: Loop = (view, changed, context) => {
  const touched = servicesWithTurns(view, changed);
  for (const service of view.services()) if (isUpdating(service)) touched.add(service.id);
  const actions: Action[] = [];
  let wakeAt = Number.POSITIVE_INFINITY;
  for (const id of touched) {
    const service = view.service(id);
    if (!service || !(isReplicated(service) || isGlobal(service))) continue;
    const result = advance(view, service, context);
    actions.push(...result.actions);
    wakeAt = Math.min(wakeAt, result.wakeAt ?? wakeAt);
  }
  return wakeAt === Number.POSITIVE_INFINITY ? { actions } : { actions, wakeAt };
};

function advance(view: StoreView, service: Service, context: LoopContext): LoopResult {
  const status = service.updateStatus;
  if (status?.state === "paused" || status?.state === "rollback_paused") return { actions: [] };
  const adopted = adoptable(view, service);
  if (adopted.length > 0) return { actions: adoptTasks(service.id, adopted) };
  const underWay = isUpdating(service);
  const since = underWay ? status!.startedAt : context.now;
  const slots = [...slotsOf(view, service)].flatMap(
    ([key, tasks]) => readSlot(service, key, tasks, since) ?? [],
  );
  if (!underWay) {
    // With the status first: what this update makes is told by its time from what was there before.
    return !slots.some(isMixed) ? { actions: [] } : { actions: [begin(service, context.now)] };
  }
  const dirty = slots.filter(isDirty);
  const settings = updateSettings(service);
  const failed = slots.filter((s) => hasFailedAtOnce(s, settings.monitor));
  if (settings.failureAction !== "continue" && failed.length / slots.length > settings.maxFailureRatio) {
    return { actions: giveUp(service, settings, failed[0]!.ended!) };
  }
  if (dirty.length === 0 && slots.every((s) => s.old.length === 0))
    return finish(service, settings, slots, context.now);
  return roll(service, settings, slots, dirty, context);
}

function begin(service: Service, now: Millis): Action {
  return setStatus(service, {
    state: "updating",
    startedAt: now,
    completedAt: 0,
    message: "update in progress",
  });
}

/** Starts on as many dirty slots as may be changed at once, and stops old tasks whose successors have come so far. */
function roll(
  service: Service,
  settings: UpdateSettings,
  slots: SlotState[],
  dirty: SlotState[],
  { now, newId }: LoopContext,
): LoopResult {
  const busy = slots.map((s) => busyUntil(s, settings.delay)).filter((until) => until > now);
  const free = Math.max(0, settings.parallelism - busy.length);
  const fresh: NewTask[] = dirty.slice(0, free).map(({ key }) => ({
    id: newId(),
    slot: typeof key === "number" ? key : 0,
    nodeId: typeof key === "string" ? key : "",
    desiredState: settings.startFirst ? TaskState.TASK_STATE_RUNNING : TaskState.TASK_STATE_READY,
  }));
  const stop = slots.filter((s) => mayStopOld(s, settings.startFirst)).flatMap((s) => s.old.map((t) => t.id));
  const why = cause(isRollback(service) ? CauseKind.CAUSE_ROLLBACK : CauseKind.CAUSE_UPDATE);
  const actions = [
    ...createTasks(service.id, fresh, why),
    ...setDesiredState(stop, TaskState.TASK_STATE_SHUTDOWN, why),
  ];
  const next = Math.min(...busy);
  return dirty.length > fresh.length && Number.isFinite(next) ? { actions, wakeAt: next } : { actions };
}

/** All slots are changed: the update is complete once the last has been watched for as long as it was asked. */
function finish(service: Service, settings: UpdateSettings, slots: SlotState[], now: Millis): LoopResult {
  const watch = settings.failureAction === "continue" ? 0 : settings.monitor;
  const until = Math.max(0, ...slots.map((s) => busyUntil(s, watch)));
  if (until > now) return Number.isFinite(until) ? { actions: [], wakeAt: until } : { actions: [] };
  const rollback = isRollback(service);
  return {
    actions: [
      setStatus(service, {
        ...service.updateStatus!,
        state: rollback ? "rollback_completed" : "completed",
        completedAt: now,
        message: rollback ? "rollback completed" : "update completed",
      }),
    ],
  };
}

function giveUp(service: Service, settings: UpdateSettings, failed: TaskRecord): Action[] {
  const cause = `due to failure or early termination of task ${failed.id}`;
  const status = service.updateStatus!;
  if (settings.failureAction !== "rollback" || !service.previousSpec) {
    const rollback = isRollback(service);
    return [
      setStatus(service, {
        ...status,
        state: rollback ? "rollback_paused" : "paused",
        message: `${rollback ? "rollback" : "update"} paused ${cause}`,
      }),
    ];
  }
  return [
    {
      kind: {
        $case: "putService",
        value: {
          service: { ...service, spec: service.previousSpec, previousSpec: undefined },
          ifVersion: service.meta?.version ?? 0,
          updateStatus: { ...status, state: "rollback_started", message: `update rolled back ${cause}` },
        },
      },
    },
  ];
}

function setStatus(service: Service, status: UpdateStatus): Action {
  return { kind: { $case: "setUpdateStatus", value: { serviceId: service.id, status } } };
}
