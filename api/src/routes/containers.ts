import { CreelError, isCreelError } from "@creel/shared";
import type { Container, Mount } from "@creel/shared/gen/engine/v1/container.ts";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { type Filters, hasLabel, labelsMatch, parseFilters } from "../http/filters.ts";
import { connectBulk } from "../http/join.ts";
import { flag, integer, type Query, text } from "../http/query.ts";
import { MULTIPLEXED_STREAM, RAW_STREAM, sendStream } from "../http/stream.ts";
import { parsePoint } from "../http/time.ts";
import { isBefore, versionOf } from "../http/version.ts";
import { CONTAINER_FILTERS, containerTest, wantsAll } from "../map/container-filter.ts";
import { nameOfVolume, toInspect, toListEntry } from "../map/container-json.ts";
import { toContainerSpec } from "../map/container-spec.ts";
import { logsRequest } from "../map/logs.ts";
import { withPlaces } from "../overlays.ts";
import { CreateContainerSchema } from "../schema/container.ts";

const readCreate = bodyOf(CreateContainerSchema);
type WithId = { Params: { id: string }; Querystring: Query };

export function containerRoutes(app: FastifyInstance, context: ApiContext): void {
  const { containers } = context.engine;
  const sizeOf = async ({ id }: Container) => {
    const { own, rootFs } = await containers.size({ id });
    return { SizeRw: own, SizeRootFs: rootFs };
  };

  app.get<{ Querystring: Query }>("/containers/json", async (request) => {
    const { query } = request;
    const filters = parseFilters(text(query, "filters"), CONTAINER_FILTERS);
    const limit = integer(query, "limit", -1);
    const all = wantsAll(filters) || flag(query, "all") || limit > 0;
    const named = filters.has("before") || filters.has("since");
    const listed = (await containers.list({ all: all || named, labels: {} })).containers;
    const test = containerTest(filters, listed);
    const found = listed
      .filter((container) => (all || isLive(container)) && test(container))
      .sort((a, b) => (BigInt(b.createdNanos) > BigInt(a.createdNanos) ? 1 : -1));
    const now = context.clock.now();
    const shown = found.slice(0, limit > 0 ? limit : undefined);
    const sizes = flag(query, "size") ? await Promise.all(shown.map(sizeOf)) : [];
    return shown.map((container, i) => ({ ...toListEntry(container, now), ...sizes[i] }));
  });

  app.post<{ Querystring: Query }>("/containers/create", async (request, reply) => {
    const body = readCreate(request.body);
    const inherited = await inheritedMounts(context, body.HostConfig?.VolumesFrom ?? []);
    const spec = toContainerSpec(body, inherited);
    await refusePlatform(context, spec.image, text(request.query, "platform"));
    const name = text(request.query, "name").replace(/^\//, "");
    const { id, warnings } = await withPlaces(context, spec.networks, () =>
      containers.create({ name, spec }),
    ).catch((error: unknown) => {
      // what is not found here is the image, to docker: it would pull it
      if (!isCreelError(error, "no_such_network")) throw error;
      throw CreelError.withText("invalid_parameter", error.message);
    });
    return reply.code(201).send({ Id: id, Warnings: warnings });
  });

  app.get<WithId>("/containers/:id/json", async (request) => {
    const container = await containers.inspect({ id: request.params.id });
    return { ...toInspect(container), ...(flag(request.query, "size") && (await sizeOf(container))) };
  });

  app.get<WithId>("/containers/:id/logs", async (request, reply) => {
    const { socket, raw } = await containers.logs(logsRequest(request.params.id, request.query));
    const type = raw || isBefore(versionOf(request.raw), "1.42") ? RAW_STREAM : MULTIPLEXED_STREAM;
    await sendStream(reply, type, await connectBulk(socket));
  });

  app.get<WithId>("/containers/:id/top", async (request) => {
    const psArgs = text(request.query, "ps_args");
    const { titles, processes } = await containers.top({ id: request.params.id, psArgs });
    return { Titles: titles, Processes: processes.map(({ fields }) => fields) };
  });

  app.delete<WithId>("/containers/:id", async (request, reply) => {
    const { params, query } = request;
    await containers.remove({ id: params.id, force: flag(query, "force"), volumes: flag(query, "v") });
    return reply.code(204).send();
  });

  app.post<{ Querystring: Query }>("/containers/prune", async (request) => {
    const filters = parseFilters(text(request.query, "filters"), ["until", "label", "label!"]);
    const { containers: all } = await containers.list({ all: true, labels: {} });
    const ContainersDeleted: string[] = [];
    let SpaceReclaimed = 0;
    for (const container of all.filter(
      (one) => !isLive(one) && pruneTest(filters, one, context.clock.now()),
    )) {
      try {
        const own = await containers.size({ id: container.id }).then(
          (size) => size.own,
          () => 0,
        );
        await containers.remove({ id: container.id, force: false, volumes: false });
        ContainersDeleted.push(container.id);
        SpaceReclaimed += own;
      } catch (error) {
        if (!isCreelError(error, "no_such_container") && !isCreelError(error, "conflict")) throw error;
      }
    }
    context.events.tell("container", "prune", "", { reclaimed: String(SpaceReclaimed) });
    return { ContainersDeleted, SpaceReclaimed };
  });
}

/** Whether a container's processes are there. */
function isLive(container: Container): boolean {
  return ["running", "paused", "restarting"].includes(container.state!.status);
}

function pruneTest(filters: Filters, container: Container, now: number): boolean {
  const until = filters.get("until")?.[0];
  if (until !== undefined && BigInt(container.createdNanos) > untilPoint(until, now)) return false;
  return (
    labelsMatch(filters, "label", container.mergedLabels) &&
    !(filters.get("label!") ?? []).some((label) => hasLabel(container.mergedLabels, label))
  );
}

const UNITS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A point in time, or a Go duration before now ("24h", "1h30m"). */
function untilPoint(value: string, now: number): bigint {
  if (!/^(\d+(?:\.\d+)?(?:ms|s|m|h))+$/.test(value)) return BigInt(parsePoint("until", value));
  let millis = 0;
  for (const [, count, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    millis += Number(count) * UNITS[unit!]!;
  return BigInt(Math.round(now - millis)) * 1_000_000n;
}

/** The volumes and folders of other containers: `NAME[:ro|:rw]` each; of two for one place the later. */
async function inheritedMounts(context: ApiContext, from: string[]): Promise<Mount[]> {
  const mounts = new Map<string, Mount>();
  for (const entry of from) {
    const [id = "", mode = ""] = entry.split(":");
    if (!["", "ro", "rw", "z", "Z"].includes(mode))
      throw new CreelError("invalid_parameter", {
        message: `invalid mode: ${mode} in volumes-from ${entry}`,
      });
    const other = await context.engine.containers.inspect({ id }).catch((error: unknown) => {
      // what is not found here is the image, to docker: it would pull it
      if (!isCreelError(error, "no_such_container")) throw error;
      throw CreelError.withText("invalid_parameter", error.message);
    });
    for (const mount of other.mounts) {
      if (mount.type === "tmpfs") continue;
      const source = mount.type === "volume" ? nameOfVolume(mount) : mount.source;
      mounts.set(mount.target, { ...mount, source, readOnly: mount.readOnly || mode === "ro" });
    }
  }
  return [...mounts.values()];
}

/** Refuses an image that is not of the platform asked for, `OS/ARCH[/VARIANT]`. */
async function refusePlatform(context: ApiContext, ref: string, wanted: string): Promise<void> {
  if (wanted === "") return;
  const { os, architecture, variant } = await context.engine.images.inspect({ ref });
  const [wantedOs, wantedArch, wantedVariant] = wanted.toLowerCase().split("/");
  const same =
    wantedOs === os &&
    (wantedArch ?? architecture) === architecture &&
    (wantedVariant === undefined || variant === "" || wantedVariant === variant);
  if (same) return;
  const actual = [os, architecture, variant].filter((part) => part !== "").join("/");
  throw CreelError.withText(
    "no_such_image",
    `image with reference ${ref} was found but does not match the specified platform: wanted ${wanted}, actual: ${actual}`,
  );
}
