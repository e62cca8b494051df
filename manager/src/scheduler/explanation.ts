import type { Millis } from "@creel/shared";
import { type Filter, filters, refusedBy } from "./filters.ts";
import type { Amount, Need } from "./need.ts";
import type { NodeInfo } from "./node-info.ts";

/** A node, by what code and by what people call it. */
export interface NodeName {
  id: string;
  hostname: string;
}

/** Something that is reserved, of which nodes have too little left. */
export interface Shortage {
  /** `cpu` (in billionths), `memory` (in bytes) or the kind of a generic resource. */
  resource: string;
  needs: number;
  largestFree: number;
  /** Where that much is free. */
  on: NodeName;
  /** How many nodes have less than is needed. */
  nodes: number;
}

/** One filter, and the nodes that it refuses. */
export interface Refused {
  /** The filter's name: `ready`, `plugin`, `constraint`, `platform`, `resources`, `host-port` or `max-replicas`. */
  filter: string;
  nodes: NodeName[];
  /** As Docker words it: "insufficient resources on 2 nodes". */
  short: string;
  /** With numbers: "needs 2.0 GiB of memory, largest free 1.2 GiB on node2". */
  text: string;
  /** Only of the filter `resources`. */
  shortages: Shortage[];
}

/** Which nodes would take a task, and why the others would not. */
export interface Explanation {
  /** How many nodes there are. */
  nodes: number;
  fitting: NodeName[];
  /** Those of the fitting that come last, since the service failed there again and again. */
  avoided: NodeName[];
  /** The filter that refuses most nodes first; each node stands at the first filter that refuses it. */
  refused: Refused[];
}

/** What each node would say to one more task. */
export function explain(need: Need, infos: readonly NodeInfo[], now: Millis): Explanation {
  const fitting = infos.filter((info) => !refusedBy(need, info));
  return {
    nodes: infos.length,
    fitting: fitting.map(nameOf),
    avoided: fitting.filter((info) => info.manyFailures(need.serviceId, now) > 0).map(nameOf),
    refused: refusals(need, infos).map(([filter, refused]) => refusal(filter, need, refused)),
  };
}

/** Why none of the nodes takes the task: the short form that tasks carry in their `err`. */
export function shortForm(need: Need, infos: readonly NodeInfo[]): string {
  const all = refusals(need, infos);
  if (all.length === 0) return "no suitable node";
  return `no suitable node (${all.map(([filter, refused]) => filter.short(refused.length)).join("; ")})`;
}

/** Nodes by the first filter that refuses them, that with most nodes first. */
function refusals(need: Need, infos: readonly NodeInfo[]): [Filter, NodeInfo[]][] {
  const found = new Map<Filter, NodeInfo[]>();
  for (const info of infos) {
    const filter = refusedBy(need, info);
    if (filter && !found.get(filter)?.push(info)) found.set(filter, [info]);
  }
  return [...found].sort(([f, a], [g, b]) => b.length - a.length || filters.indexOf(f) - filters.indexOf(g));
}

function refusal(filter: Filter, need: Need, infos: NodeInfo[]): Refused {
  const shortages = filter.name === "resources" ? shortagesOf(need, infos) : [];
  return {
    filter: filter.name,
    nodes: infos.map(nameOf),
    short: filter.short(infos.length),
    text: shortages.length > 0 ? shortages.map(shortageText).join("; ") : filter.detail(need),
    shortages,
  };
}

function shortagesOf(need: Need, infos: NodeInfo[]): Shortage[] {
  return need.amounts.flatMap(({ resource, count }) => {
    const short = infos.filter((info) => info.free(resource) < count);
    if (short.length === 0) return [];
    const best = short.reduce((a, b) => (b.free(resource) > a.free(resource) ? b : a));
    const largestFree = Math.max(0, best.free(resource));
    return [{ resource, needs: count, largestFree, on: nameOf(best), nodes: short.length }];
  });
}

function shortageText({ resource, needs, largestFree, on }: Shortage): string {
  const what = resource === "cpu" ? "CPUs" : resource;
  return `needs ${amountText({ resource, count: needs })} of ${what}, largest free ${amountText({ resource, count: largestFree })} on ${on.hostname}`;
}

/** An amount of a resource for people: `1.5`, `2.0 GiB`, `3`. */
export function amountText({ resource, count }: Pick<Amount, "resource" | "count">): string {
  if (resource === "cpu") return String(Math.round(count / 1e6) / 1000);
  if (resource !== "memory") return String(count);
  const gib = count / 2 ** 30;
  return gib >= 1 ? `${gib.toFixed(1)} GiB` : `${(count / 2 ** 20).toFixed(1)} MiB`;
}

function nameOf({ node }: NodeInfo): NodeName {
  return { id: node.id, hostname: node.description?.hostname || node.id };
}
