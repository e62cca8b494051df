import {
  Availability,
  type Node,
  NodeRole,
  NodeState,
  type Secret,
  type Service,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Change, ChangeSet } from "./store/mod.ts";

/** A change of an object, as users are told of it. */
export interface ClusterEvent {
  timeNanos: number;
  type: "node" | "service" | "network" | "secret" | "config" | "task";
  action: "create" | "update" | "remove";
  id: string;
  /** Docker's: `name`, and pairs `X.old` and `X.new` of what changed. */
  attributes: Record<string, string>;
}

/** What an entry's changes are to users: nothing of allocation and other inner matters. */
export function eventsOf(changes: ChangeSet): ClusterEvent[] {
  const timeNanos = changes.time * 1_000_000;
  const events: ClusterEvent[] = [];
  const add = <T extends { spec?: unknown }>(
    type: ClusterEvent["type"],
    map: ReadonlyMap<string, Change<T>>,
    name: (object: T) => string,
    differences: (before: T, after: T) => Record<string, string>,
  ) => {
    for (const [id, { before, after }] of map) {
      const object = after ?? before;
      if (!object) continue;
      const action = !before ? "create" : !after ? "remove" : "update";
      const changed = before && after ? differences(before, after) : {};
      if (action === "update" && Object.keys(changed).length === 0 && before?.spec === after?.spec) continue;
      events.push({ timeNanos, type, action, id, attributes: { name: name(object), ...changed } });
    }
  };
  add("node", changes.nodes, (node) => node.description?.hostname ?? node.id, nodeDifferences);
  add("service", changes.services, (service) => service.spec?.name ?? "", serviceDifferences);
  add(
    "network",
    changes.networks,
    (network) => network.spec?.name ?? "",
    () => ({}),
  );
  const revision = (object: Secret) => String(object.revision);
  for (const [type, map] of [
    ["secret", changes.secrets],
    ["config", changes.configs],
  ] as const) {
    add(
      type,
      map,
      (object) => object.spec?.name ?? "",
      (before, after) => changed({ revision: [revision(before), revision(after)] }),
    );
  }
  return events;
}

type Pairs = Record<string, [before: string, after: string]>;

function changed(pairs: Pairs): Record<string, string> {
  const attributes: Record<string, string> = {};
  for (const [name, [before, after]] of Object.entries(pairs)) {
    if (before === after) continue;
    attributes[`${name}.old`] = before;
    attributes[`${name}.new`] = after;
  }
  return attributes;
}

function word(names: Record<string, number>, prefix: string, value: number): string {
  const name = Object.keys(names).find((key) => names[key] === value);
  return name?.slice(prefix.length).toLowerCase() ?? "unknown";
}

function nodeDifferences(before: Node, after: Node): Record<string, string> {
  const state = (node: Node) => word(NodeState, "NODE_STATE_", node.status?.state ?? 0);
  const role = (node: Node) => word(NodeRole, "NODE_ROLE_", node.spec?.role ?? 0);
  const availability = (node: Node) => word(Availability, "AVAILABILITY_", node.spec?.availability ?? 0);
  return changed({
    state: [state(before), state(after)],
    role: [role(before), role(after)],
    availability: [availability(before), availability(after)],
  });
}

function serviceDifferences(before: Service, after: Service): Record<string, string> {
  const replicas = ({ spec }: Service) =>
    spec?.mode?.$case === "replicated" ? String(spec.mode.value.replicas) : "";
  const image = (service: Service) => service.spec?.task?.container?.image ?? "";
  const update = (service: Service) => service.updateStatus?.state ?? "";
  const attributes = changed({
    replicas: [replicas(before), replicas(after)],
    image: [image(before), image(after)],
  });
  const [old, now] = [update(before), update(after)];
  if (old !== now && now !== "") {
    if (old !== "") attributes["updatestate.old"] = old;
    attributes["updatestate.new"] = now;
  }
  return attributes;
}
