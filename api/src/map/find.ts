import { CreelError, type ErrorCode } from "@creel/shared";
import type { Node, Service, Task } from "../cluster.ts";
import type { ClusterView } from "../ports.ts";

/** The one object that `wanted` means: by id, else by name, else by an id's unique prefix. */
export function findOne<T extends { id: string }>(
  objects: T[],
  wanted: string,
  nameOf: (object: T) => string,
  missing: ErrorCode,
): T {
  const exact = objects.find(({ id }) => id === wanted);
  if (exact) return exact;
  const named = objects.filter((object) => nameOf(object) === wanted);
  const found = named.length > 0 ? named : objects.filter(({ id }) => wanted !== "" && id.startsWith(wanted));
  if (found.length === 0) throw new CreelError(missing, { id: wanted });
  if (found.length > 1) throw new CreelError("ambiguous_id", { id: wanted });
  return found[0]!;
}

export const findService = (view: ClusterView, id: string): Service =>
  findOne(view.services(), id, (service) => service.spec?.name ?? "", "no_such_service");

/** A node; `self` is the node that is asked. */
export const findNode = (view: ClusterView, id: string, self: string): Node =>
  findOne(
    view.nodes(),
    id === "self" ? self : id,
    (node) => node.description?.hostname ?? "",
    "no_such_node",
  );

export const findTask = (view: ClusterView, id: string): Task =>
  findOne(view.tasks(), id, taskName, "no_such_task");

/** A task's name: SERVICE.SLOT.ID, with the node's id for the slot of global services. */
export function taskName(task: Task): string {
  return `${task.serviceName}.${task.slot || task.nodeId}.${task.id}`;
}
