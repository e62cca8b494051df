import type { Millis } from "@creel/shared";
import type { GenericResource, Task } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "../store/mod.ts";
import { type Explanation, explain, shortForm } from "./explanation.ts";
import { type Need, needOf } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";
import { spreadOver } from "./spread.ts";
import { Usage } from "./usage.ts";

/** Where tasks of one kind go. */
export interface Placement {
  /** A node for each task that has a place, and what it gets there. */
  places: { nodeId: string; genericResources: GenericResource[] }[];
  /** Why the others have none; empty if all have. */
  err: string;
}

/** Finds places for tasks alike, and claims them in `usage`. */
export function placeTasks(usage: Usage, need: Need, taskIds: string[], now: Millis): Placement {
  const places: Placement["places"] = [];
  const take = (info: NodeInfo) => {
    const genericResources = usage.claim(info, need, taskIds[places.length]!);
    places.push({ nodeId: info.node.id, genericResources });
  };
  const source = spreadOver(usage.pool(need), need, usage.nodesThatKnow(need.serviceId), now, take);
  while (places.length < taskIds.length) {
    if (!source.next()) return { places, err: shortForm(need, usage.nodes()) };
  }
  return { places, err: "" };
}

/** What each node says to the task, which is pending: which would take it now, and why the others would not. */
export function explainTask(view: StoreView, task: Task, now: Millis): Explanation {
  const usage = new Usage();
  usage.rebuild(view);
  const own = task.nodeId === "" ? undefined : usage.node(task.nodeId);
  const infos = task.nodeId === "" ? usage.nodes() : own ? [own] : [];
  return explain(needOf(view, { ...task, spec: task.spec! }), infos, now);
}
