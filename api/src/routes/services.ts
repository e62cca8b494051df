import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import { ControlRequest, NodeState, type Service, ServiceSpec } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { anyOf, labelsMatch, parseFilters } from "../http/filters.ts";
import { flag, integer, type Query, text } from "../http/query.ts";
import { findService } from "../map/find.ts";
import { randomName } from "../map/random-name.ts";
import { toService, toServiceStatus, withStuck } from "../map/service.ts";
import { fromServiceBody } from "../map/service-spec.ts";
import { ServiceSpecSchema } from "../schema/service.ts";

const readSpec = bodyOf(ServiceSpecSchema);
type WithId = { Params: { id: string }; Querystring: Query };
const MODES: Record<string, string> = {
  replicated: "replicated",
  global: "global",
  replicatedJob: "replicated-job",
  globalJob: "global-job",
};

export function serviceRoutes(app: FastifyInstance, context: ApiContext): void {
  const { cluster } = context;
  const fresh = () => cluster.view({ linearizable: true });
  const mode = (service: Service) => MODES[service.spec?.mode?.$case ?? "replicated"];

  app.get<{ Querystring: Query }>("/services", async (request) => {
    const { query } = request;
    const filters = parseFilters(text(query, "filters"), ["id", "name", "label", "mode", "runtime"]);
    const view = await fresh();
    const status = flag(query, "status");
    const isDown = (id: string) => view.node(id)?.status?.state === NodeState.NODE_STATE_DOWN;
    return view
      .services()
      .filter(
        (service) =>
          anyOf(filters, "id", (id) => service.id.startsWith(id)) &&
          anyOf(filters, "name", (name) => (service.spec?.name ?? "").startsWith(name)) &&
          labelsMatch(filters, "label", service.spec?.labels ?? {}) &&
          anyOf(filters, "mode", (wanted) => mode(service) === wanted) &&
          anyOf(filters, "runtime", (runtime) => (service.spec?.task?.runtime || "container") === runtime),
      )
      .map((service) => ({
        ...toService(service, (id) => view.network(id), flag(query, "insertDefaults")),
        ServiceStatus: status ? toServiceStatus(service, view.tasksOfService(service.id), isDown) : undefined,
      }));
  });

  app.post("/services/create", async (request, reply) => {
    const wished = fromServiceBody(readSpec(request.body));
    const spec = { ...wished, name: wished.name || randomName() };
    const { id, warnings } = await cluster.control(
      ControlRequest.fromPartial({ kind: { $case: "createService", value: { spec } } }),
    );
    return reply.code(201).send({ ID: id, Warnings: warnings.length > 0 ? warnings : null });
  });

  app.get<WithId>("/services/:id", async (request) => {
    const view = await fresh();
    const service = findService(view, request.params.id);
    const written = toService(service, (id) => view.network(id), flag(request.query, "insertDefaults"));
    return withStuck(written, service, cluster.stuck(service.id));
  });

  app.post<WithId>("/services/:id/update", async (request) => {
    const { query } = request;
    const back = text(query, "rollback");
    if (back !== "" && back !== "previous") {
      throw new CreelError("invalid_parameter", { message: `unrecognized rollback option ${back}` });
    }
    if (text(query, "version") === "") {
      throw new CreelError("invalid_parameter", {
        message: "invalid service version '': the version of the service must be given",
      });
    }
    const rollback = back === "previous";
    const body = readSpec(request.body);
    const spec = rollback ? ServiceSpec.fromPartial({}) : fromServiceBody(body);
    const { id } = findService(await fresh(), request.params.id);
    const { warnings } = await cluster.control(
      ControlRequest.fromPartial({
        kind: {
          $case: "updateService",
          value: { id, version: integer(query, "version", 0), spec, rollback },
        },
      }),
    );
    return { Warnings: warnings.length > 0 ? warnings : null };
  });

  app.delete<WithId>("/services/:id", async (request, reply) => {
    const { id } = findService(await fresh(), request.params.id);
    await cluster.control(ControlRequest.fromPartial({ kind: { $case: "removeService", value: id } }));
    return reply.code(200).send();
  });
}
