import type { Place } from "../problems.ts";

/** A word of YAML, and what it says by itself. */
export interface Scalar {
  kind: "scalar";
  value: string | number | boolean | null;
  /** As it was written: 1.10 is not 1.1. */
  source: string;
  at: Place;
  tag?: Tag;
}
export interface List {
  kind: "list";
  items: Node[];
  at: Place;
  tag?: Tag;
}
export interface Dict {
  kind: "dict";
  entries: Map<string, Entry>;
  at: Place;
  tag?: Tag;
}
export interface Entry {
  /** Where the key stands. */
  at: Place;
  node: Node;
}
/** A part of a YAML file that still knows its place. */
export type Node = Scalar | List | Dict;
/** What of a file that is merged over another one takes the place of what was there, or takes it away. */
export type Tag = "reset" | "override";

/** The same as plain JavaScript. */
export function toPlain(node: Node): unknown {
  if (node.kind === "scalar") return node.value;
  if (node.kind === "list") return node.items.map(toPlain);
  return Object.fromEntries([...node.entries].map(([key, { node }]) => [key, toPlain(node)]));
}

/** The tree with each word that is a string replaced by what `change` makes of it. */
export function mapText(node: Node, path: string, change: (text: Scalar, path: string) => Scalar): Node {
  if (node.kind === "scalar") return typeof node.value === "string" ? change(node, path) : node;
  if (node.kind === "list")
    return { ...node, items: node.items.map((item, i) => mapText(item, `${path}[${i}]`, change)) };
  const entries = [...node.entries].map(([key, entry]): [string, Entry] => [
    key,
    { ...entry, node: mapText(entry.node, path === "" ? key : `${path}.${key}`, change) },
  ]);
  return { ...node, entries: new Map(entries) };
}
