import type { FastifyInstance } from "fastify";
import { Availability, ControlRequest, NodeRole } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { anyOf, labelsMatch, parseFilters } from "../http/filters.ts";
import { flag, integer, type Query, text } from "../http/query.ts";
import { findNode } from "../map/find.ts";
import { availabilityWord, fromNodeSpec, roleWord, toNode } from "../map/node.ts";
import { NodeSpecSchema } from "../schema/swarm.ts";

const FILTERS = ["id", "name", "label", "node.label", "engine.label", "role", "membership", "availability"];
const readSpec = bodyOf(NodeSpecSchema);
type WithId = { Params: { id: string }; Querystring: Query };

export function nodeRoutes(app: FastifyInstance, context: ApiContext): void {
  const { cluster } = context;
  const fresh = () => cluster.view({ linearizable: true });

  app.get<{ Querystring: Query }>("/nodes", async (request) => {
    const filters = parseFilters(text(request.query, "filters"), FILTERS);
    const view = await fresh();
    return view
      .nodes()
      .filter(
        (node) =>
          anyOf(filters, "id", (id) => node.id.startsWith(id)) &&
          anyOf(filters, "name", (name) => (node.description?.hostname ?? "").startsWith(name)) &&
          labelsMatch(filters, "label", node.description?.engineLabels ?? {}) &&
          labelsMatch(filters, "engine.label", node.description?.engineLabels ?? {}) &&
          labelsMatch(filters, "node.label", node.spec?.labels ?? {}) &&
          anyOf(filters, "role", (role) => role === roleWord(node.spec?.role ?? NodeRole.NODE_ROLE_WORKER)) &&
          anyOf(filters, "membership", (membership) => membership === "accepted") &&
          anyOf(
            filters,
            "availability",
            (word) => word === availabilityWord(node.spec?.availability ?? Availability.AVAILABILITY_ACTIVE),
          ),
      )
      .map((node) => toNode(node, cluster.managerStatus(node.id)));
  });

  app.get<WithId>("/nodes/:id", async (request) => {
    const view = await fresh();
    const node = findNode(view, request.params.id, cluster.nodeId());
    return toNode(node, cluster.managerStatus(node.id));
  });

  app.post<WithId>("/nodes/:id/update", async (request, reply) => {
    const spec = fromNodeSpec(readSpec(request.body));
    const { id } = findNode(await fresh(), request.params.id, cluster.nodeId());
    const version = integer(request.query, "version", 0);
    await cluster.control(
      ControlRequest.fromPartial({ kind: { $case: "updateNode", value: { id, version, spec } } }),
    );
    return reply.code(200).send();
  });

  app.delete<WithId>("/nodes/:id", async (request, reply) => {
    const { id } = findNode(await fresh(), request.params.id, cluster.nodeId());
    const force = flag(request.query, "force");
    await cluster.control(
      ControlRequest.fromPartial({ kind: { $case: "removeNode", value: { id, force } } }),
    );
    return reply.code(200).send();
  });
}
