import type { Millis } from "@creel/shared";
import type { PortConfig, ServiceSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "../store/mod.ts";
import { explain, filters } from "./filters.ts";
import { type Need, needOf } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";
import { spreadOver } from "./spread.ts";
import { Usage } from "./usage.ts";

const lasting = filters.filter((f) => f.lasting);

/** Where tasks of one kind go. */
export interface Placement {
  /** A node for each task that has a place. */
  nodeIds: string[];
  /** Why the others have none; empty if all have. */
  err: string;
}

/** Finds places for `count` tasks alike, and claims them in `usage`. */
export function placeTasks(usage: Usage, need: Need, count: number, now: Millis): Placement {
  const infos = usage.nodes();
  const candidates = infos.filter((info) => lasting.every((f) => f.passes(need, info)));
  const source = spreadOver(candidates, need, now, (info: NodeInfo) => usage.claim(info, need));
  const nodeIds: string[] = [];
  while (nodeIds.length < count) {
    const info = source.next();
    if (!info) return { nodeIds, err: explain(need, infos) };
    nodeIds.push(info.node.id);
  }
  return { nodeIds, err: "" };
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
  const ports: PortConfig[] = spec.endpoint?.ports ?? [];
  return placeTasks(usage, needOf(serviceId, spec.task!, ports), count, now);
}
