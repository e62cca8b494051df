import { CreelError, isCreelError } from "@creel/shared";
import { NetworkAttachment } from "@creel/shared/gen/engine/v1/container.ts";
import type { FastifyInstance } from "fastify";
import { ControlRequest } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { bodyOf, maybe } from "../http/body.ts";
import { anyOf, booleanFilter, hasLabel, labelsMatch, parseFilters } from "../http/filters.ts";
import { type Query, text } from "../http/query.ts";
import { findOne } from "../map/find.ts";
import {
  type DockerNetwork,
  fromLocalCreate,
  fromOverlayCreate,
  toLocal,
  toOverlay,
} from "../map/network.ts";
import { onceGivenBack, withPlaces } from "../overlays.ts";
import { EndpointSchema } from "../schema/container.ts";
import { NetworkCreateSchema } from "../schema/swarm.ts";
import { Type } from "../schema/type.ts";

const readCreate = bodyOf(NetworkCreateSchema);
const readConnect = bodyOf(
  Type.Object({
    Container: maybe(Type.String()),
    EndpointConfig: maybe(EndpointSchema),
    Force: maybe(Type.Boolean()),
  }),
);
const BUILTIN = ["bridge", "host", "none"];
type WithId = { Params: { id: string }; Querystring: Query };

/** Networks of this node and, on a manager, of the cluster, as one list. */
async function allNetworks({ engine, cluster }: ApiContext): Promise<DockerNetwork[]> {
  const local = (await engine.networks.list({})).networks.map(toLocal);
  if (cluster.localState() !== "active" || !cluster.isManager()) return local;
  const byId = new Map(local.map((network) => [network.Id, network]));
  const overlays = (await cluster.view()).networks().map((network) => ({
    ...toOverlay(network),
    Containers: byId.get(network.id)?.Containers ?? {},
  }));
  // an overlay that the cluster no longer has is only on its way off this node
  return [...local.filter(({ Driver }) => Driver !== "overlay"), ...overlays];
}

async function findNetwork(context: ApiContext, id: string): Promise<DockerNetwork> {
  const networks = (await allNetworks(context)).map((network) => ({ id: network.Id, network }));
  return findOne(networks, id, ({ network }) => network.Name, "no_such_network").network;
}

export function networkRoutes(app: FastifyInstance, context: ApiContext): void {
  const { engine, cluster } = context;
  const { containers } = engine;

  app.get<{ Querystring: Query }>("/networks", async (request) => {
    const known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
    const filters = parseFilters(text(request.query, "filters"), known);
    const dangling = booleanFilter(filters, "dangling");
    return (await allNetworks(context)).filter((network) => {
      const unused =
        !BUILTIN.includes(network.Name) && !network.Ingress && Object.keys(network.Containers).length === 0;
      return (
        anyOf(filters, "driver", (driver) => network.Driver === driver) &&
        anyOf(filters, "id", (id) => network.Id.startsWith(id)) &&
        anyOf(filters, "name", (name) => network.Name.includes(name)) &&
        anyOf(filters, "scope", (scope) => network.Scope === scope) &&
        anyOf(filters, "type", (type) => (type === "builtin") === BUILTIN.includes(network.Name)) &&
        labelsMatch(filters, "label", network.Labels) &&
        (dangling === undefined || dangling === unused)
      );
    });
  });

  app.post("/networks/create", async (request, reply) => {
    const body = readCreate(request.body);
    const swarm = body.Driver === "overlay" || body.Scope === "swarm";
    if (swarm && body.Driver && body.Driver !== "overlay") {
      throw new CreelError("unsupported", {
        message: `a ${body.Driver} network cannot span the cluster; use --driver overlay`,
      });
    }
    if (!swarm && body.Ingress)
      throw new CreelError("invalid_parameter", { message: "an ingress network must be an overlay network" });
    if ((await allNetworks(context)).some(({ Name }) => Name === body.Name)) {
      throw new CreelError("network_name_taken", { name: body.Name ?? "" });
    }
    const id = swarm
      ? (
          await cluster.control(
            ControlRequest.fromPartial({
              kind: { $case: "createNetwork", value: { spec: fromOverlayCreate(body) } },
            }),
          )
        ).id
      : (await engine.networks.create(fromLocalCreate(body))).id;
    return reply.code(201).send({ Id: id, Warning: "" });
  });

  app.get<WithId>("/networks/:id", (request) => findNetwork(context, request.params.id));

  app.delete<WithId>("/networks/:id", async (request, reply) => {
    const { Id, Scope } = await findNetwork(context, request.params.id);
    if (Scope === "swarm")
      await onceGivenBack(context, () =>
        cluster.control(ControlRequest.fromPartial({ kind: { $case: "removeNetwork", value: Id } })),
      );
    else await engine.networks.remove({ id: Id });
    return reply.code(204).send();
  });

  app.post<WithId>("/networks/:id/connect", async (request, reply) => {
    const body = readConnect(request.body);
    const place = NetworkAttachment.fromPartial({
      network: request.params.id,
      address: body.EndpointConfig?.IPAMConfig?.IPv4Address ?? "",
    });
    const containerId = body.Container ?? "";
    await containers.inspect({ id: containerId });
    await withPlaces(context, [place], () =>
      engine.networks.connect({ ...place, containerId, aliases: body.EndpointConfig?.Aliases ?? [] }),
    );
    return reply.code(200).send();
  });

  app.post<WithId>("/networks/:id/disconnect", async (request, reply) => {
    const body = readConnect(request.body);
    const { Id } = await findNetwork(context, request.params.id);
    await engine.networks.disconnect({
      network: Id,
      containerId: body.Container ?? "",
      force: body.Force ?? false,
    });
    return reply.code(200).send();
  });

  app.post<{ Querystring: Query }>("/networks/prune", async (request) => {
    const filters = parseFilters(text(request.query, "filters"), ["label", "label!", "until"]);
    const NetworksDeleted: string[] = [];
    for (const network of (await engine.networks.list({})).networks) {
      if (network.predefined || network.driver !== "bridge" || network.endpoints.length > 0) continue;
      if (!labelsMatch(filters, "label", network.labels)) continue;
      if ((filters.get("label!") ?? []).some((label) => hasLabel(network.labels, label))) continue;
      try {
        await engine.networks.remove({ id: network.id });
        NetworksDeleted.push(network.name);
      } catch (error) {
        if (!isCreelError(error, "network_in_use") && !isCreelError(error, "predefined_network")) throw error;
      }
    }
    context.events.tell("network", "prune", "", { reclaimed: "0" });
    return { NetworksDeleted };
  });
}
