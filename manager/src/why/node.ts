import type { Millis, Why, WhyCause } from "@creel/shared";
import { Availability, type Node, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { amountText } from "../scheduler/mod.ts";
import { hasFailed, isLive, occupiesNode, type StoreView, type TaskRecord } from "../store/mod.ts";
import { unreadyText } from "./placement.ts";
import { because, failureText, hostname, plural, stoppedText, taskName } from "./words.ts";

const TASKS_NAMED = 3;
/** As the scheduler counts them: so many failures in so long make a node one that a service keeps away from. */
const RECENT = 5 * 60_000;
const MANY_FAILURES = 5;

/** Why a node is as it is: its state, what it takes, what left it and what fails on it. */
export function whyNode(view: StoreView, node: Node, now: Millis): Why {
  const tasks = view.recordsOnNode(node.id);
  const live = tasks.filter(isLive);
  const causes = [
    ...stateCauses(node),
    ...availabilityCauses(view, node, live),
    ...departures(view, node),
    ...failures(view, tasks, now),
    ...reserved(node, tasks.filter(occupiesNode)),
  ];
  causes.sort((a, b) => b.at - a.at);
  const state = unreadyText(node);
  const running = `${plural(live.length, "task")} ${live.length === 1 ? "is" : "are"} wanted on it`;
  const summary = `${hostname(node)} ${state === "" ? "is ready and takes tasks" : `${state}: it takes no tasks`}; ${running}`;
  return { kind: "node", id: node.id, name: hostname(node), now, summary, stuck: "", causes };
}

function stateCauses({ status, meta }: Node): WhyCause[] {
  const since = status?.since || meta?.createdAt || 0;
  const message = status?.message ? `: ${status.message.replace(/^heartbeat failure: /, "")}` : "";
  switch (status?.state) {
    case NodeState.NODE_STATE_DOWN:
      return [because("node-state", since, `is down${message}`)];
    case NodeState.NODE_STATE_READY:
      return [because("node-state", since, `is ready${message}`)];
    default:
      return [because("node-state", since, `its agent has not been heard of${message}`)];
  }
}

function availabilityCauses(view: StoreView, node: Node, live: TaskRecord[]): WhyCause[] {
  const { availability } = node.spec ?? {};
  if (availability === Availability.AVAILABILITY_PAUSE) {
    return [because("availability", 0, "is paused: it keeps its tasks and takes no others")];
  }
  if (availability !== Availability.AVAILABILITY_DRAIN) return [];
  if (live.length === 0) return [because("availability", 0, "is drained: it takes no tasks")];
  const still = `is drained; ${plural(live.length, "task")} still there until others run in their place`;
  return [because("availability", 0, still, named(view, live))];
}

/** Tasks that had to leave the node, by why and when. */
function departures(view: StoreView, node: Node): WhyCause[] {
  const left = new Map<string, TaskRecord[]>();
  for (const task of view.records()) {
    const cause = task.stoppedBy;
    if (!cause || task.nodeId !== node.id || cause.subject !== node.id) continue;
    const key = `${cause.at} ${cause.kind}`;
    left.set(key, [...(left.get(key) ?? []), task]);
  }
  return [...left.values()].map((tasks) => {
    const cause = tasks[0]!.stoppedBy!;
    const text = `${plural(tasks.length, "task")} taken off: ${stoppedText(view, cause)}`;
    return because("moved", cause.at, text, named(view, tasks));
  });
}

function failures(view: StoreView, tasks: TaskRecord[], now: Millis): WhyCause[] {
  const failed = new Map<string, TaskRecord[]>();
  for (const task of tasks) {
    if (!hasFailed(task) || task.statusAt <= now - RECENT) continue;
    failed.set(task.serviceId, [...(failed.get(task.serviceId) ?? []), task]);
  }
  return [...failed.values()].map((all) => {
    const last = all.reduce((a, b) => (b.statusAt > a.statusAt ? b : a));
    const avoided = all.length >= MANY_FAILURES;
    const text = `${last.group.serviceName} failed ${plural(all.length, "time")} in the last 5 minutes: ${failureText(last.err)}`;
    return because(
      avoided ? "avoided" : "failed",
      last.statusAt,
      avoided ? `${text}; it is placed on other nodes first` : text,
      named(view, all),
    );
  });
}

/** What is reserved of what there is; nothing where no task reserves. */
function reserved({ description }: Node, tasks: TaskRecord[]): WhyCause[] {
  const all = description?.resources;
  const sum = { cpu: 0, memory: 0 };
  for (const { spec } of tasks) {
    sum.cpu += spec.reservations?.nanoCpus ?? 0;
    sum.memory += spec.reservations?.memoryBytes ?? 0;
  }
  const parts = [
    { resource: "memory", count: sum.memory, of: all?.memoryBytes ?? 0, what: "of memory" },
    { resource: "cpu", count: sum.cpu, of: all?.nanoCpus ?? 0, what: "CPUs" },
  ].filter(({ count }) => count > 0);
  if (parts.length === 0) return [];
  const said = parts.map(
    ({ resource, count, of, what }) =>
      `${amountText({ resource, count })} of ${amountText({ resource, count: of })} ${what}`,
  );
  return [because("resources", 0, `reserved: ${said.join(", ")}`)];
}

function named(view: StoreView, tasks: TaskRecord[]): { tasks: string[]; count: number } {
  return { tasks: tasks.slice(0, TASKS_NAMED).map((task) => taskName(view, task)), count: tasks.length };
}
