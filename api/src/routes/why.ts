import { CreelError, type Why } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { Task } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { type Query, text } from "../http/query.ts";
import { fromMillis } from "../http/time.ts";
import { findNode, findService, findTask } from "../map/find.ts";
import type { ClusterView } from "../ports.ts";

/** Why a service, task or node is as it is: `GET /creel/why?service=NAME`. */
export function whyRoutes(app: FastifyInstance, { cluster }: ApiContext): void {
  const finders: Record<Why["kind"], (view: ClusterView, name: string) => string> = {
    service: (view, name) => findService(view, name).id,
    task: (view, name) => (newestOf(view, name) ?? findTask(view, name)).id,
    node: (view, name) => findNode(view, name, cluster.nodeId()).id,
  };

  app.get<{ Querystring: Query }>("/creel/why", async ({ query }) => {
    const asked = (Object.keys(finders) as Why["kind"][]).filter((kind) => text(query, kind) !== "");
    const [kind] = asked;
    if (kind === undefined || asked.length > 1) {
      throw new CreelError("invalid_parameter", {
        message: "name one service, task or node: GET /creel/why?service=NAME",
      });
    }
    const view = await cluster.view({ linearizable: true });
    return toWhy(await cluster.why(kind, finders[kind](view, text(query, kind))));
  });
}

/** `web.3`: the newest task of the slot; `web.node2` of a global service. */
function newestOf(view: ClusterView, name: string): Task | undefined {
  const [, service, place] = /^(.+)\.([^.]+)$/.exec(name) ?? [];
  const owner = view.services().find(({ spec }) => spec?.name === service);
  if (!owner) return undefined;
  const isThere = ({ slot, nodeId }: Task) =>
    slot > 0 ? `${slot}` === place : view.node(nodeId)?.description?.hostname === place;
  return view
    .tasksOfService(owner.id)
    .filter(isThere)
    .reduce<Task | undefined>(
      (a, b) => (a && (a.meta?.createdAt ?? 0) > (b.meta?.createdAt ?? 0) ? a : b),
      undefined,
    );
}

function toWhy(why: Why): Record<string, unknown> {
  return {
    Kind: why.kind,
    ID: why.id,
    Name: why.name,
    Now: fromMillis(why.now),
    Summary: why.summary,
    Stuck: why.stuck || undefined,
    Causes: why.causes.map((cause) => ({
      Code: cause.code,
      At: cause.at === 0 ? undefined : fromMillis(cause.at),
      Until: cause.until === 0 ? undefined : fromMillis(cause.until),
      Text: cause.text,
      Tasks: cause.tasks.length === 0 ? undefined : cause.tasks,
      Count: cause.count || undefined,
    })),
  };
}
