import { isCreelError } from "@creel/shared";
import type { Mount } from "@creel/shared/gen/engine/v1/container.ts";
import type { Volume } from "@creel/shared/gen/engine/v1/engine.ts";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { bodyOf, maybe, StringMap } from "../http/body.ts";
import { anyOf, booleanFilter, hasLabel, labelsMatch, parseFilters } from "../http/filters.ts";
import { flag, type Query, text } from "../http/query.ts";
import { fromNanos } from "../http/time.ts";
import { nameOfVolume } from "../map/container-json.ts";
import { Type } from "../schema/type.ts";

const readCreate = bodyOf(
  Type.Object({
    Name: maybe(Type.String()),
    Driver: maybe(Type.String()),
    DriverOpts: maybe(StringMap),
    Labels: maybe(StringMap),
  }),
);
const ANONYMOUS = "com.docker.volume.anonymous";

export function volumeRoutes(app: FastifyInstance, context: ApiContext): void {
  const { volumes, containers } = context.engine;
  const used = async () => {
    const all = (await containers.list({ all: true, labels: {} })).containers;
    return (volume: Volume) => usersOf(volume, all) > 0;
  };

  app.get<{ Querystring: Query }>("/volumes", async (request) => {
    const filters = parseFilters(text(request.query, "filters"), ["dangling", "driver", "label", "name"]);
    const dangling = booleanFilter(filters, "dangling");
    const isUsed = dangling === undefined ? () => false : await used();
    const found = (await volumes.list({ sizes: false })).volumes.filter(
      (volume) =>
        anyOf(filters, "driver", (driver) => volume.driver === driver) &&
        anyOf(filters, "name", (name) => volume.name.includes(name)) &&
        labelsMatch(filters, "label", volume.labels) &&
        (dangling === undefined || dangling !== isUsed(volume)),
    );
    return { Volumes: found.map(toVolume), Warnings: null };
  });

  app.post("/volumes/create", async (request, reply) => {
    const body = readCreate(request.body);
    const volume = await volumes.create({
      name: body.Name ?? "",
      driver: body.Driver ?? "",
      labels: { ...body.Labels, ...(!body.Name && { [ANONYMOUS]: "" }) },
      options: body.DriverOpts ?? {},
      mountpoint: "",
      createdNanos: "0",
      size: -1,
    });
    return reply.code(201).send(toVolume(volume));
  });

  app.get<{ Params: { name: string } }>("/volumes/:name", async (request) => {
    return toVolume(await volumes.inspect({ name: request.params.name }));
  });

  app.delete<{ Params: { name: string }; Querystring: Query }>("/volumes/:name", async (request, reply) => {
    await volumes.remove({ name: request.params.name, force: flag(request.query, "force") });
    return reply.code(204).send();
  });

  app.post<{ Querystring: Query }>("/volumes/prune", async (request) => {
    const filters = parseFilters(text(request.query, "filters"), ["all", "label", "label!"]);
    const all = booleanFilter(filters, "all") ?? false;
    const isUsed = await used();
    const VolumesDeleted: string[] = [];
    let SpaceReclaimed = 0;
    for (const volume of (await volumes.list({ sizes: true })).volumes) {
      if (isUsed(volume) || !(all || Object.hasOwn(volume.labels, ANONYMOUS))) continue;
      if (!labelsMatch(filters, "label", volume.labels)) continue;
      if ((filters.get("label!") ?? []).some((label) => hasLabel(volume.labels, label))) continue;
      try {
        await volumes.remove({ name: volume.name, force: false });
        VolumesDeleted.push(volume.name);
        SpaceReclaimed += Math.max(0, volume.size);
      } catch (error) {
        if (!isCreelError(error, "volume_in_use") && !isCreelError(error, "no_such_volume")) throw error;
      }
    }
    context.events.tell("volume", "prune", "", { reclaimed: `${SpaceReclaimed}` });
    return { VolumesDeleted, SpaceReclaimed };
  });
}

/** How many of the containers have the volume. */
export function usersOf(volume: Volume, containers: readonly { mounts: readonly Mount[] }[]): number {
  const isThis = (mount: Mount) => mount.type === "volume" && nameOfVolume(mount) === volume.name;
  return containers.filter(({ mounts }) => mounts.some(isThis)).length;
}

function toVolume(volume: Volume) {
  return {
    CreatedAt: fromNanos(volume.createdNanos),
    Driver: volume.driver || "local",
    Labels: Object.keys(volume.labels).length > 0 ? volume.labels : null,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: Object.keys(volume.options).length > 0 ? volume.options : null,
    Scope: "local",
  };
}
