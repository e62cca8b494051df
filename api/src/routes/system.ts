import { CreelError } from "@creel/shared";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { ApiContext } from "../context.ts";
import { type DockerEvent, TASK } from "../events.ts";
import { anyOf, type Filters, labelsMatch, parseFilters } from "../http/filters.ts";
import { type Query, text } from "../http/query.ts";
import { openStream, whenGone, writeLine } from "../http/stream.ts";
import { fromNanos, nanosToSeconds, parsePoint } from "../http/time.ts";
import { MAX_VERSION, MIN_VERSION } from "../http/version.ts";
import { toListEntry } from "../map/container-json.ts";
import { toImageListEntry } from "../map/image.ts";
import { toInfo } from "../map/info.ts";
import { usersOf } from "./volumes.ts";

const EVENT_FILTERS = [
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "task",
  "type",
  "volume",
];

export function systemRoutes(app: FastifyInstance, context: ApiContext): void {
  const { cluster, engine, facts } = context;

  const ping = (reply: FastifyReply) => {
    const state = cluster.localState();
    return reply
      .header("cache-control", "no-cache, no-store, must-revalidate")
      .header("pragma", "no-cache")
      .header("swarm", state === "active" ? `active/${cluster.isManager() ? "manager" : "worker"}` : state)
      .type("text/plain; charset=utf-8");
  };
  app.get("/_ping", (_request, reply) => ping(reply).send("OK"));
  app.head("/_ping", (_request, reply) => ping(reply).header("content-length", "0").send(""));

  app.get("/version", async () => {
    const info = await engine.engine.info({});
    const architecture = goArchitecture(info.architecture);
    const common = {
      ApiVersion: MAX_VERSION,
      MinAPIVersion: MIN_VERSION,
      GitCommit: facts.commit,
      GoVersion: "",
    };
    return {
      Platform: { Name: "Creel" },
      Components: [
        {
          Name: "Engine",
          Version: facts.version,
          Details: {
            ...common,
            Arch: architecture,
            Os: info.osType,
            KernelVersion: info.kernelVersion,
            BuildTime: "",
            Experimental: "false",
          },
        },
        { Name: "creel-engine", Version: info.engineVersion, Details: { GitCommit: facts.commit } },
      ],
      Version: facts.version,
      ...common,
      Os: info.osType,
      Arch: architecture,
      KernelVersion: info.kernelVersion,
      BuildTime: "",
    };
  });

  app.get("/info", () => toInfo(context));

  app.get<{ Querystring: Query }>("/events", async (request, reply) => {
    const { query } = request;
    const filters = parseFilters(text(query, "filters"), EVENT_FILTERS);
    const since = parsePoint("since", text(query, "since"));
    const until = parsePoint("until", text(query, "until"));
    if (until !== "0" && since !== "0" && BigInt(until) < BigInt(since)) {
      throw new CreelError("invalid_parameter", { message: "`since` time cannot be after `until` time" });
    }
    const signal = whenGone(reply.raw);
    const response = openStream(reply, "application/json");
    const tasks = filters.has(TASK) || (filters.get("type")?.includes(TASK) ?? false);
    for await (const event of context.events.read(since, until, tasks, signal)) {
      if (eventMatches(filters, event) && !(await writeLine(response, toEvent(event)))) break;
    }
    response.end();
  });

  app.get("/system/df", async () => {
    const [images, containers, volumes] = await Promise.all([
      engine.images.list({ all: false, filters: [] }),
      engine.containers.list({ all: true, labels: {} }),
      engine.volumes.list({ sizes: true }),
    ]);
    const now = context.clock.now();
    return {
      LayersSize: images.images.reduce((sum, image) => sum + image.size, 0),
      Images: images.images.map(toImageListEntry),
      Containers: containers.containers.map((container) => toListEntry(container, now)),
      Volumes: volumes.volumes.map((volume) => ({
        Name: volume.name,
        Driver: volume.driver,
        Mountpoint: volume.mountpoint,
        Labels: volume.labels,
        Scope: "local",
        Options: volume.options,
        CreatedAt: fromNanos(volume.createdNanos),
        UsageData: { Size: volume.size, RefCount: usersOf(volume, containers.containers) },
      })),
      BuildCache: [],
    };
  });
}

/** An architecture in Go's words, as Docker gives it. */
function goArchitecture(machine: string): string {
  return { x86_64: "amd64", aarch64: "arm64", armv7l: "arm" }[machine] ?? machine;
}

function toEvent(event: DockerEvent) {
  const legacy = ["container", "image"].includes(event.type)
    ? {
        status: event.action,
        id: event.id,
        from: event.type === "container" ? event.attributes.image : undefined,
      }
    : {};
  return {
    ...legacy,
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.id, Attributes: event.attributes },
    scope: event.scope,
    time: nanosToSeconds(event.timeNanos),
    timeNano: exactNumber(event.timeNanos),
  };
}

/** A number that JavaScript cannot hold, written as JSON all the same. */
function exactNumber(digits: string): unknown {
  return (JSON as unknown as { rawJSON(source: string): unknown }).rawJSON(digits);
}

function eventMatches(filters: Filters, event: DockerEvent): boolean {
  const { id, attributes } = event;
  const named = (key: string) => {
    if (!filters.has(key)) return true;
    if (event.type !== key) return false;
    return anyOf(
      filters,
      key,
      (value) =>
        id === value ||
        id.startsWith(value) ||
        attributes.name === value ||
        (key === "image" && matchesImage(value, event)),
    );
  };
  const objects = [
    "config",
    "container",
    "daemon",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
  ].filter((key) => filters.has(key));
  return (
    anyOf(filters, "type", (type) => event.type === type) &&
    anyOf(filters, "scope", (scope) => event.scope === scope) &&
    anyOf(filters, "event", (action) => event.action === action || event.action.startsWith(`${action}:`)) &&
    labelsMatch(filters, "label", attributes) &&
    (objects.length === 0 ||
      objects.some(
        (key) =>
          named(key) ||
          (key === "image" &&
            event.type === "container" &&
            anyOf(filters, key, (value) => attributes.image === value)),
      ))
  );
}

function matchesImage(value: string, event: DockerEvent): boolean {
  return event.attributes.name === `${value}:latest` || event.id === `sha256:${value}`;
}
