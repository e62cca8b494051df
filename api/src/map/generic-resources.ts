import type { GenericResource, NodeResources } from "../cluster.ts";

type Json = Record<string, unknown>;

/** What a node has, as Docker writes it: one entry for each name, one for each number; undefined if nothing. */
export function toNodeGeneric(resources: Pick<NodeResources, "generic" | "named">): Json[] | undefined {
  const { generic, named } = resources;
  return some([
    ...Object.entries(named).flatMap(([kind, { names }]) => names.map((name) => toNamed(kind, name))),
    ...Object.entries(generic).map(([kind, count]) => toDiscrete(kind, count)),
  ]);
}

/** What a task got; undefined if nothing. */
export function toTaskGeneric(resources: GenericResource[]): Json[] | undefined {
  return some(
    resources.flatMap(({ kind, count, names }) =>
      names.length > 0 ? names.map((name) => toNamed(kind, name)) : [toDiscrete(kind, count)],
    ),
  );
}

function some(list: Json[]): Json[] | undefined {
  return list.length > 0 ? list : undefined;
}

export function toDiscrete(kind: string, count: number): Json {
  return { DiscreteResourceSpec: { Kind: kind, Value: count } };
}

function toNamed(kind: string, name: string): Json {
  return { NamedResourceSpec: { Kind: kind, Value: name } };
}
