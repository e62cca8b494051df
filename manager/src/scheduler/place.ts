import type { Millis } from "@creel/shared";
import type { ServiceSpec, Task } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "../store/mod.ts";
import { type Explanation, explain, shortForm } from "./explanation.ts";
import { filters } from "./filters.ts";
import { type Need, needOf } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";
import { spreadOver } from "./spread.ts";
import { Usage } from "./usage.ts";

const lasting = filters.filter((f) => f.lasting);

/** Where tasks of one kind go. */
export interface Placement {
  /** A node for each task that has a place. */
  nodeIds: string[];
  /** Why the others have none, as they carry it in their `err`; empty if all have. */
  err: string;
  /** The same in full; undefined if all have a place. */
  explanation: Explanation | undefined;
}

/** Finds places for `count` tasks alike, and claims them in `usage`. */
export function placeTasks(usage: Usage, need: Need, count: number, now: Millis): Placement {
  const infos = usage.nodes();
  const candidates = infos.filter((info) => lasting.every((f) => f.passes(need, info)));
  const source = spreadOver(candidates, need, now, (info: NodeInfo) => usage.claim(info, need));
  const nodeIds: string[] = [];
  while (nodeIds.length < count) {
    const info = source.next();
    if (!info) {
      const explanation = explain(need, infos, now);
      return { nodeIds, err: shortForm(explanation), explanation };
    }
    nodeIds.push(info.node.id);
  }
  return { nodeIds, err: "", explanation: undefined };
}

/** What would happen: places for `count` further tasks of a service, nothing done. `serviceId` empty: a new service. */
export function planPlacement(
  view: StoreView,
  spec: ServiceSpec,
  count: number,
  now: Millis,
  serviceId = "",
): Placement {
  const usage = new Usage();
  usage.rebuild(view);
  const asking = { serviceId, spec: spec.task!, ports: spec.endpoint?.ports ?? [] };
  return placeTasks(usage, needOf(view, asking), count, now);
}

/** What each node says to the task, which is pending: which would take it now, and why the others would not. */
export function explainTask(view: StoreView, task: Task, now: Millis): Explanation {
  const usage = new Usage();
  usage.rebuild(view);
  const own = task.nodeId === "" ? undefined : usage.node(task.nodeId);
  const infos = task.nodeId === "" ? usage.nodes() : own ? [own] : [];
  return explain(needOf(view, { ...task, spec: task.spec! }), infos, now);
}
