import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import { type Task, TaskState } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { anyOf, booleanFilter, labelsMatch, parseFilters } from "../http/filters.ts";
import { type Query, text } from "../http/query.ts";
import { findTask, taskName } from "../map/find.ts";
import { desiredState, toTask } from "../map/task.ts";
import type { ClusterView } from "../ports.ts";

const FILTERS = ["_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service"];
const DESIRED: Record<string, (state: number) => boolean> = {
  running: (state) => state <= TaskState.TASK_STATE_RUNNING,
  shutdown: (state) => state > TaskState.TASK_STATE_RUNNING,
  accepted: (state) => state === TaskState.TASK_STATE_ACCEPTED,
};

export function taskRoutes(app: FastifyInstance, context: ApiContext): void {
  const { cluster } = context;

  app.get<{ Querystring: Query }>("/tasks", async (request) => {
    const filters = parseFilters(text(request.query, "filters"), FILTERS);
    const upToDate = booleanFilter(filters, "_up-to-date");
    for (const state of filters.get("desired-state") ?? []) {
      if (!DESIRED[state]) {
        throw new CreelError("invalid_parameter", {
          message: `invalid filter 'desired-state=${state}': use running, shutdown or accepted`,
        });
      }
    }
    const view = await cluster.view({ linearizable: true });
    const wanted = filters.get("service");
    const services = wanted && idsOf(view.services(), wanted, (service) => service.spec?.name ?? "");
    const nodeNames = filters.get("node")?.map((node) => (node === "self" ? cluster.nodeId() : node));
    const nodes = nodeNames && idsOf(view.nodes(), nodeNames, (node) => node.description?.hostname ?? "");
    const candidates = services ? services.flatMap((id) => view.tasksOfService(id)) : view.tasks();
    return candidates
      .filter(
        (task) =>
          (nodes === undefined || nodes.includes(task.nodeId)) &&
          anyOf(filters, "id", (id) => task.id.startsWith(id)) &&
          anyOf(filters, "name", (name) => taskName(task).startsWith(name)) &&
          labelsMatch(filters, "label", task.serviceLabels) &&
          anyOf(filters, "desired-state", (state) => DESIRED[state]!(desiredState(task))) &&
          anyOf(filters, "runtime", (runtime) => (task.spec?.runtime || "container") === runtime) &&
          (upToDate === undefined || upToDate === isUpToDate(view, task)),
      )
      .map((task) => toTask(task, (id) => view.network(id)));
  });

  app.get<{ Params: { id: string } }>("/tasks/:id", async (request) => {
    const view = await cluster.view({ linearizable: true });
    return toTask(findTask(view, request.params.id), (id) => view.network(id));
  });
}

/** Ids of the objects that are meant by id, its prefix, or name. */
function idsOf<T extends { id: string }>(
  objects: T[],
  wanted: string[],
  nameOf: (object: T) => string,
): string[] {
  return objects
    .filter((object) => wanted.some((one) => object.id.startsWith(one) || nameOf(object) === one))
    .map(({ id }) => id);
}

function isUpToDate(view: ClusterView, task: Task): boolean {
  return view.service(task.serviceId)?.specVersion === task.specVersion;
}
