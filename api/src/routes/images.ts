import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../context.ts";
import { booleanFilter, parseFilters } from "../http/filters.ts";
import { flag, type Query, text } from "../http/query.ts";
import { toHistory, toImageInspect, toImageListEntry } from "../map/image.ts";
import { saveImages } from "./archives.ts";

const LIST_FILTERS = ["before", "dangling", "label", "reference", "since", "until"];
type Wild = { Params: { "*": string }; Querystring: Query };

export function imageRoutes(app: FastifyInstance, context: ApiContext): void {
  const { images, engine } = context.engine;

  app.get<{ Querystring: Query }>("/images/json", async (request) => {
    const { query } = request;
    const parsed = parseFilters(text(query, "filters"), LIST_FILTERS);
    booleanFilter(parsed, "dangling");
    const legacy = text(query, "filter");
    if (legacy !== "") parsed.set("reference", [...(parsed.get("reference") ?? []), legacy]);
    const filters = [...parsed].map(([key, values]) => ({ key, values }));
    const found = (await images.list({ all: flag(query, "all"), filters })).images;
    return found
      .sort((a, b) => (BigInt(b.createdNanos) > BigInt(a.createdNanos) ? 1 : -1))
      .map(toImageListEntry);
  });

  app.post<{ Querystring: Query }>("/images/prune", async (request) => {
    const parsed = parseFilters(text(request.query, "filters"), ["dangling", "until", "label", "label!"]);
    const all = booleanFilter(parsed, "dangling") === false;
    parsed.delete("dangling");
    const reply = await images.prune({ all, filters: [...parsed].map(([key, values]) => ({ key, values })) });
    return { ImagesDeleted: removed(reply), SpaceReclaimed: reply.freedBytes };
  });

  // a name holds slashes, so what follows it is told apart here
  app.get<Wild>("/images/*", async (request, reply) => {
    const { name, action } = split(request.params["*"], ["json", "history", "get"]);
    if (action === "json") {
      const [image, info] = await Promise.all([images.inspect({ ref: name }), engine.info({})]);
      return toImageInspect(image, info.storageDriver);
    }
    if (action === "history") return toHistory(await images.inspect({ ref: name }));
    if (action === "get") return saveImages(context, [name], reply);
    return reply.callNotFound();
  });

  app.post<Wild>("/images/*", async (request, reply) => {
    const { name, action } = split(request.params["*"], ["tag"]);
    if (action !== "tag") return reply.callNotFound();
    const repo = text(request.query, "repo");
    if (repo === "") throw new CreelError("invalid_reference", { ref: repo });
    const tag = text(request.query, "tag");
    await images.tag({ source: name, target: tag === "" ? repo : `${repo}:${tag}` });
    return reply.code(201).send();
  });

  app.delete<Wild>("/images/*", async (request) => {
    const { query } = request;
    const ref = request.params["*"];
    return removed(
      await images.remove({ ref, force: flag(query, "force"), noPrune: flag(query, "noprune") }),
    );
  });

  app.get<Wild>("/distribution/*", async (request) => {
    const { name } = split(request.params["*"], ["json"]);
    throw new CreelError("unsupported", {
      message: `${name} was not looked up: this version of Creel asks no registry`,
    });
  });
}

function split(path: string, actions: string[]): { name: string; action: string } {
  const at = path.lastIndexOf("/");
  const action = path.slice(at + 1);
  return at > 0 && actions.includes(action)
    ? { name: path.slice(0, at), action }
    : { name: path, action: "" };
}

function removed(reply: { untagged: string[]; deleted: string[] }) {
  return [
    ...reply.untagged.map((Untagged) => ({ Untagged })),
    ...reply.deleted.map((Deleted) => ({ Deleted })),
  ];
}
