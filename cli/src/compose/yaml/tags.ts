import type { Entry, Node } from "./node.ts";

/** A file without what it marks `!reset`, and the keys that it takes away from the files before: `!override` ones, too. */
export function takeTags(node: Node, path: string[] = []): { node: Node; cleared: string[][] } {
  if (node.kind !== "dict") return { node, cleared: [] };
  const cleared: string[][] = [];
  const entries = new Map<string, Entry>();
  for (const [key, entry] of node.entries) {
    const here = [...path, key];
    if (entry.node.tag !== undefined) cleared.push(here);
    if (entry.node.tag === "reset") continue;
    const inner = takeTags(entry.node, here);
    cleared.push(...inner.cleared);
    entries.set(key, { ...entry, node: inner.node });
  }
  return { node: { ...node, entries }, cleared };
}
