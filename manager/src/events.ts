import {
  Availability,
  type Node,
  NodeRole,
  NodeState,
  type Secret,
  type Service,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Change, type ChangeSet, isFinished, type StoreView, type TaskRecord } from "./store/mod.ts";
import { madeText, stoppedText, taskName } from "./why/words.ts";

/** A change of an object, as users are told of it. */
export interface ClusterEvent {
  timeNanos: number;
  type: "node" | "service" | "network" | "secret" | "config" | "task";
  action: "create" | "update" | "remove";
  id: string;
  /** Docker's: `name`, and pairs `X.old` and `X.new` of what changed. */
  attributes: Record<string, string>;
}

/**
 * What an entry's changes are to users: nothing of allocation and other inner matters; tasks last. `view` is asked for
 * the names of nodes when an event is read.
 */
export function eventsOf(changes: ChangeSet, view: () => StoreView): ClusterEvent[] {
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
  add(
    "node",
    changes.nodes,
    (node) => node.spec?.name || node.description?.hostname || node.id,
    nodeDifferences,
  );
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
  for (const [id, change] of changes.tasks) {
    if (changesState(change)) events.push(new TaskEvent(timeNanos, id, change, view));
  }
  return events;
}

function changesState({ before, after }: Change<TaskRecord>): boolean {
  return before?.state !== after?.state || before?.desiredState !== after?.desiredState;
}

/** There may be thousands in an entry, and mostly nobody reads them: the words are made when somebody does. */
class TaskEvent implements ClusterEvent {
  readonly type = "task";
  readonly timeNanos: number;
  readonly id: string;
  private readonly change: Change<TaskRecord>;
  private readonly view: () => StoreView;

  constructor(timeNanos: number, id: string, change: Change<TaskRecord>, view: () => StoreView) {
    this.timeNanos = timeNanos;
    this.id = id;
    this.change = change;
    this.view = view;
  }

  get action(): ClusterEvent["action"] {
    return !this.change.before ? "create" : !this.change.after ? "remove" : "update";
  }

  get attributes(): Record<string, string> {
    const { before, after } = this.change;
    const view = this.view();
    const task = (after ?? before)!;
    const state = (each: TaskRecord | undefined) => word(TaskState, "TASK_STATE_", each?.state ?? 0);
    const desired = (each: TaskRecord | undefined) => word(TaskState, "TASK_STATE_", each?.desiredState ?? 0);
    const attributes: Record<string, string> = {
      name: taskName(view, task),
      serviceID: task.serviceId,
      ...(task.nodeId && { nodeID: task.nodeId }),
      ...(before &&
        after &&
        changed({ state: [state(before), state(after)], desiredstate: [desired(before), desired(after)] })),
    };
    if (task.err !== "") attributes.error = task.err;
    if (after && isFinished(after)) attributes.exitCode = String(after.exitCode);
    const made = !before && after?.madeBy ? madeText(view, after.madeBy) : "";
    const stopped = after?.stoppedBy && !before?.stoppedBy ? stoppedText(view, after.stoppedBy) : "";
    if (made || stopped) attributes.cause = made || stopped;
    return attributes;
  }
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
