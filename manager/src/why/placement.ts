import { Availability, type Node, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Explanation, explainTask, type Refused } from "../scheduler/mod.ts";
import type { StoreView, TaskRecord } from "../store/mod.ts";
import { hostname, plural } from "./words.ts";

const NAMES_SHOWN = 3;

/** Why a task has no place, each filter with its nodes and numbers: one line. */
export function noPlaceText(view: StoreView, task: TaskRecord, now: number): string {
  const explanation = explainTask(view, task.toTask(), now);
  const { fitting, nodes, refused } = explanation;
  if (fitting.length > 0) return `${fitting[0]!.hostname} has room for it by now`;
  if (nodes === 0) return "the cluster has no node for it";
  return refused.map((one) => refusalText(view, explanation, one)).join("; ");
}

function refusalText(view: StoreView, { nodes }: Explanation, refused: Refused): string {
  const share = `${refused.nodes.length} of ${plural(nodes, "node")}`;
  if (refused.filter !== "ready") return `${share}: ${heading(refused)}${refused.text}`;
  const states = new Map<string, string[]>();
  for (const { id } of refused.nodes) {
    const node = view.node(id);
    const state = unreadyText(node);
    states.set(state, [...(states.get(state) ?? []), hostname(node)]);
  }
  return `${share}: ${[...states].map(([state, names]) => `${some(names)} ${names.length > 1 ? inPlural(state) : state}`).join(", ")}`;
}

function heading({ filter, shortages }: Refused): string {
  if (filter !== "resources") return "";
  return `not enough ${shortages.map(({ resource }) => (resource === "cpu" ? "CPU" : resource)).join(" and ")}: `;
}

/** Why a node takes no new tasks: "is drained"; empty where it does. */
export function unreadyText(node: Node | undefined): string {
  const state = node?.status?.state ?? NodeState.NODE_STATE_UNKNOWN;
  if (state === NodeState.NODE_STATE_DOWN) return "is down";
  if (state !== NodeState.NODE_STATE_READY) return "has not been heard of";
  if (node?.spec?.availability === Availability.AVAILABILITY_DRAIN) return "is drained";
  return node?.spec?.availability === Availability.AVAILABILITY_PAUSE ? "is paused" : "";
}

function inPlural(state: string): string {
  return state.replace(/^is /, "are ").replace(/^has /, "have ");
}

function some(names: string[]): string {
  const more = names.length - NAMES_SHOWN;
  return more > 0 ? `${names.slice(0, NAMES_SHOWN).join(", ")} and ${more} more` : names.join(", ");
}
