import type { Millis } from "@creel/shared";
import { type Service, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished, type StoreView, type TaskRecord } from "../store/mod.ts";
import { isUnfit } from "./node-fitness.ts";
import { byAge, isReplicated, type SlotFinder } from "./slots.ts";

/** A task runs on for at most this long while its successor comes up elsewhere. */
const PATIENCE = 120_000;
/** The label by which a service says that two of its tasks must never run at once. */
const ORDER_LABEL = "creel.drain";

/** How a task's place is handed to a successor on another node. */
export interface Handover {
  /** Younger tasks of its slot that are not on a node that is down or drained. */
  successors: TaskRecord[];
  /** `none` is made yet; the successor `comes`, has come so far that the old one may `stop`, or will not come. */
  state: "none" | "comes" | "stop" | "failed";
  /** While it comes: for how long it is waited for. */
  until: Millis;
}

/** Whether a task that leaves a node is stopped before its successor starts, not after. */
function stopsFirst(service: Service): boolean {
  return service.spec?.labels[ORDER_LABEL] === "stop-first";
}

/** What the successor is made as: it waits until the old one has stopped, or runs beside it. */
export function successorState(service: Service): TaskState {
  return stopsFirst(service) ? TaskState.TASK_STATE_READY : TaskState.TASK_STATE_RUNNING;
}

/** How the hand-over of a running task stands; undefined where none can take its place. */
export function handoverOf(
  view: StoreView,
  finder: SlotFinder,
  task: TaskRecord,
  now: Millis,
): Handover | undefined {
  const service = view.service(task.serviceId);
  if (!service || !isReplicated(service)) return undefined;
  const successors = finder
    .slotOf(service, task)
    .filter((t) => byAge(t, task) > 0 && !(t.nodeId !== "" && isUnfit(view.node(t.nodeId))));
  if (successors.length === 0) return { successors, state: "none", until: 0 };
  const until = successors[0]!.createdAt + PATIENCE;
  const enough = stopsFirst(service) ? TaskState.TASK_STATE_READY : TaskState.TASK_STATE_RUNNING;
  if (successors.some((t) => t.state >= enough && !isFinished(t)))
    return { successors, state: "stop", until };
  const failed = now >= until || successors.some(isFinished) || successors.some(hasNoPlace);
  return { successors, state: failed ? "failed" : "comes", until };
}

function hasNoPlace(task: TaskRecord): boolean {
  return task.state <= TaskState.TASK_STATE_PENDING && task.err !== "";
}
