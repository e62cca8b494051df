import type { Millis, Why, WhyCause } from "@creel/shared";
import { CauseKind, type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isJob } from "../loops/slots.ts";
import { hasFailed, isFinished, isLive, isWanted, type StoreView, type TaskRecord } from "../store/mod.ts";
import { stuckText } from "./stuck.ts";
import { movesTasks, pastCauses, presentCauses } from "./task.ts";
import { because, failureText, nodeName, plural, taskName } from "./words.ts";

const TASKS_NAMED = 3;
/** Causes of one answer; those of most tasks come first when there are more. */
const MAX_CAUSES = 50;
const RUNNING = TaskState.TASK_STATE_RUNNING;

/** Why a service is as it is: what holds its update up, what its tasks wait for, what failed, what moved. */
export function whyService(view: StoreView, service: Service, now: Millis): Why {
  const tasks = view.recordsOfService(service.id);
  const live = tasks.filter(isLive);
  const causes = together(
    live.flatMap((task) =>
      notable(view, task, now).map((cause) => ({ ...cause, tasks: [taskName(view, task)] })),
    ),
  );
  causes.push(...ended(view, service, tasks), ...updateCauses(view, service));
  causes.sort((a, b) => b.at - a.at);
  return {
    kind: "service",
    id: service.id,
    name: service.spec?.name ?? service.id,
    now,
    summary: summary(view, service, tasks, live),
    stuck: stuckText(view, service, now),
    causes: causes.slice(0, MAX_CAUSES),
  };
}

/** What of a live task is not as it should be, or was not: restarts and moves. */
function notable(view: StoreView, task: TaskRecord, now: Millis): WhyCause[] {
  const present = task.state === RUNNING && task.err === "" ? [] : presentCauses(view, task, now);
  const made = task.madeBy?.kind ?? CauseKind.CAUSE_UNKNOWN;
  const past = pastCauses(view, task).filter(
    ({ code }) =>
      (code === "restarted" && made === CauseKind.CAUSE_RESTART) || (code === "moved" && movesTasks(made)),
  );
  return [...present, ...past];
}

/** Causes with the same words as one, at the newest time. */
function together(causes: WhyCause[]): WhyCause[] {
  const found = new Map<string, WhyCause>();
  for (const cause of causes) {
    const key = `${cause.code} ${cause.text}`;
    const known = found.get(key);
    if (!known) {
      found.set(key, { ...cause, count: 1 });
      continue;
    }
    known.count++;
    if (known.tasks.length < TASKS_NAMED) known.tasks.push(...cause.tasks);
    known.at = Math.max(known.at, cause.at);
    known.until = Math.max(known.until, cause.until);
  }
  return [...found.values()];
}

/** Slots that stay empty: the last task failed and its restart policy lets none follow. */
function ended(view: StoreView, service: Service, tasks: TaskRecord[]): WhyCause[] {
  const filled = new Set(tasks.filter(isWanted).map(placeOf));
  const last = new Map<string, TaskRecord>();
  for (const task of tasks) {
    if (!isFinished(task) || !hasFailed(task) || filled.has(placeOf(task))) continue;
    const known = last.get(placeOf(task));
    if (!known || known.createdAt < task.createdAt) last.set(placeOf(task), task);
  }
  const condition = service.spec?.task?.restart?.condition || "any";
  return together(
    [...last.values()].map((task) => ({
      ...because(
        "failed",
        task.statusAt,
        `failed on ${nodeName(view, task.nodeId)}: ${failureText(task.err)}; its restart policy (${condition}) lets no other follow`,
      ),
      tasks: [taskName(view, task)],
    })),
  );
}

function updateCauses(view: StoreView, service: Service): WhyCause[] {
  const status = service.updateStatus;
  if (!status || status.state === "") return [];
  const id = /task (\S+)$/.exec(status.message)?.[1];
  const failed = id === undefined ? undefined : view.record(id);
  const cause = failed?.err ? `: ${taskName(view, failed)}: ${failureText(failed.err)}` : "";
  const code = status.state.endsWith("paused") ? "update-paused" : "update";
  return [because(code, status.completedAt || status.startedAt, `${status.message}${cause}`)];
}

function summary(view: StoreView, service: Service, tasks: TaskRecord[], live: TaskRecord[]): string {
  const name = service.spec?.name ?? service.id;
  const running = live.filter(({ state }) => state === RUNNING).length;
  const mode = service.spec?.mode;
  if (isJob(service)) {
    const iteration = service.jobStatus?.iteration ?? 0;
    const done = tasks.filter(
      (task) => task.state === TaskState.TASK_STATE_COMPLETE && task.group.jobIteration === iteration,
    );
    return `${name}: ${plural(done.length, "task")} completed, ${running} ${running === 1 ? "runs" : "run"}`;
  }
  const wanted = mode?.$case === "replicated" ? mode.value.replicas : new Set(live.map(placeOf)).size;
  const text = `${name}: ${running} of ${plural(wanted, "task")} ${wanted === 1 ? "runs" : "run"}`;
  return view.service(service.id) ? text : `${text}; it was removed`;
}

function placeOf(task: TaskRecord): string {
  return task.slot > 0 ? `${task.slot}` : task.nodeId;
}
