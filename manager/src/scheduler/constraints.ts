import { type Node, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { contains, parseCidr, parseIp } from "../store/mod.ts";
import { architectureOf } from "./platform.ts";

/** One placement constraint, understood. */
export interface Constraint {
  key: string;
  equal: boolean;
  value: string;
}

/** Why a constraint cannot be understood, where in it, and what would be right. */
export interface ConstraintError {
  message: string;
  /** Counted from 0. */
  position: number;
  hint: string;
}

const KEYS = ["node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch"];
const PREFIXES = ["node.labels.", "engine.labels."];
const KEY = /^[a-z_][a-z0-9\-_.]+$/i;
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i;

/** Reads `key==value` or `key!=value`. */
export function parseConstraint(text: string): Constraint | ConstraintError {
  const operator = /==|!=/.exec(text);
  if (!operator) {
    return {
      message: "constraint expected one operator from ==, !=",
      position: text.length,
      hint: "write it as node.role==worker or node.labels.zone!=a",
    };
  }
  const key = text.slice(0, operator.index).trim();
  const value = text.slice(operator.index + 2).trim();
  if (!KEY.test(key)) return { message: `key '${key}' is invalid`, position: 0, hint: keysHint() };
  if (!VALUE.test(value)) {
    return {
      message: `value '${value}' is invalid`,
      position: operator.index + 2,
      hint: "a value is letters, digits and :-_./*()?+[]\\^$|",
    };
  }
  const low = key.toLowerCase();
  if (!KEYS.includes(low) && !PREFIXES.some((p) => low.startsWith(p) && low.length > p.length)) {
    return { message: `key '${key}' is unknown`, position: 0, hint: keysHint() };
  }
  if (low === "node.ip" && parseIp(value) === undefined && !parseCidr(value)) {
    return {
      message: `value '${value}' is no IP address`,
      position: operator.index + 2,
      hint: "an IPv4 address or a range such as 10.1.0.0/16",
    };
  }
  return { key, equal: operator[0] === "==", value };
}

/** Whether the node meets the constraint. */
export function meets(node: Node, { key, equal, value }: Constraint): boolean {
  const low = key.toLowerCase();
  if (low === "node.ip") {
    const ip = parseIp(node.status?.addr ?? "");
    const range = parseCidr(value.includes("/") ? value : `${value}/32`);
    return ip !== undefined && range !== undefined && contains(range, ip) === equal;
  }
  const found = attributeOf(node, key, low);
  const wanted = low === "node.platform.arch" ? architectureOf(value) : value;
  return (found?.toLowerCase() === wanted.toLowerCase()) === equal;
}

/** What a label descriptor (`node.labels.zone`) gives on the node; undefined where the node has no such label. */
export function labelOf(node: Node, descriptor: string): string | undefined {
  for (const [prefix, labels] of [
    [PREFIXES[0]!, node.spec?.labels],
    [PREFIXES[1]!, node.description?.engineLabels],
  ] as const) {
    if (descriptor.toLowerCase().startsWith(prefix)) return labels?.[descriptor.slice(prefix.length)];
  }
  return undefined;
}

function attributeOf(node: Node, key: string, low: string): string | undefined {
  switch (low) {
    case "node.id":
      return node.id;
    case "node.hostname":
      return node.description?.hostname;
    case "node.role":
      return node.spec?.role === NodeRole.NODE_ROLE_MANAGER ? "manager" : "worker";
    case "node.platform.os":
      return node.description?.platform?.os;
    case "node.platform.arch":
      return architectureOf(node.description?.platform?.architecture ?? "");
    default:
      return labelOf(node, key);
  }
}

function keysHint(): string {
  return `the keys are ${KEYS.join(", ")}, node.labels.NAME and engine.labels.NAME`;
}
