import { CreelError } from "@creel/shared";
import type { FastifyInstance } from "fastify";
import type { ControlRequest, Secret, SecretSpec } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { bodyOf } from "../http/body.ts";
import { anyOf, labelsMatch, parseFilters } from "../http/filters.ts";
import { integer, type Query, text } from "../http/query.ts";
import { fromBase64, fromDataBody, toData } from "../map/data.ts";
import { findOne } from "../map/find.ts";
import { toRotation } from "../map/rotation.ts";
import type { ClusterView } from "../ports.ts";
import { DataSpecSchema, RotateSchema } from "../schema/data.ts";

const readSpec = bodyOf(DataSpecSchema);
const readRotate = bodyOf(RotateSchema);
type WithId = { Params: { id: string }; Querystring: Query };
type Kind = NonNullable<ControlRequest["kind"]>;
type Spec = { spec: SecretSpec; data: Buffer };

/** Secrets and configs: alike, but that a config's value may be read. */
interface DataKind {
  word: "secret" | "config";
  open: boolean;
  all(view: ClusterView): Secret[];
  create(value: Spec): Kind;
  update(value: Spec & { id: string; version: number }): Kind;
  remove(id: string): Kind;
  rotate(value: { id: string; data: Buffer }): Kind;
}

const SECRETS: DataKind = {
  word: "secret",
  open: false,
  all: (view) => view.secrets(),
  create: (value) => ({ $case: "createSecret", value }),
  update: (value) => ({ $case: "updateSecret", value }),
  remove: (value) => ({ $case: "removeSecret", value }),
  rotate: (value) => ({ $case: "rotateSecret", value }),
};

const CONFIGS: DataKind = {
  word: "config",
  open: true,
  all: (view) => view.configs(),
  create: (value) => ({ $case: "createConfig", value }),
  update: (value) => ({ $case: "updateConfig", value }),
  remove: (value) => ({ $case: "removeConfig", value }),
  rotate: (value) => ({ $case: "rotateConfig", value }),
};

export function dataRoutes(app: FastifyInstance, context: ApiContext): void {
  for (const kind of [SECRETS, CONFIGS]) routesOf(kind, app, context);
}

function routesOf(kind: DataKind, app: FastifyInstance, { cluster }: ApiContext): void {
  const { word, open, all } = kind;
  const path = `/${word}s`;
  const fresh = () => cluster.view({ linearizable: true });
  const find = (view: ClusterView, id: string) =>
    findOne(all(view), id, (object) => object.spec?.name ?? "", `no_such_${word}`);

  app.get<{ Querystring: Query }>(path, async (request) => {
    const filters = parseFilters(text(request.query, "filters"), ["id", "label", "name", "names"]);
    return all(await fresh())
      .filter(
        ({ id, spec }) =>
          anyOf(filters, "id", (wanted) => id.startsWith(wanted)) &&
          anyOf(filters, "name", (wanted) => spec!.name.startsWith(wanted)) &&
          anyOf(filters, "names", (wanted) => spec!.name === wanted) &&
          labelsMatch(filters, "label", spec!.labels),
      )
      .map((object) => toData(object, open));
  });

  app.post(`${path}/create`, async (request, reply) => {
    const { id } = await cluster.control({ kind: kind.create(fromDataBody(readSpec(request.body))) });
    return reply.code(201).send({ ID: id });
  });

  app.get<WithId>(`${path}/:id`, async (request) => toData(find(await fresh(), request.params.id), open));

  app.post<WithId>(`${path}/:id/update`, async (request, reply) => {
    if (text(request.query, "version") === "") {
      throw new CreelError("invalid_parameter", {
        message: `invalid ${word} version '': the version of the ${word} must be given`,
      });
    }
    const version = integer(request.query, "version", 0);
    const body = fromDataBody(readSpec(request.body));
    const { id } = find(await fresh(), request.params.id);
    await cluster.control({ kind: kind.update({ id, version, ...body }) });
    return reply.code(200).send();
  });

  app.delete<WithId>(`${path}/:id`, async (request, reply) => {
    const { id } = find(await fresh(), request.params.id);
    await cluster.control({ kind: kind.remove(id) });
    return reply.code(204).send();
  });

  app.post<WithId>(`/creel${path}/:id/rotate`, async (request) => {
    const data = fromBase64(readRotate(request.body).Data);
    const { id } = find(await fresh(), request.params.id);
    await cluster.control({ kind: kind.rotate({ id, data }) });
    return rotationOf(id);
  });

  app.get<WithId>(`/creel${path}/:id/rotation`, async (request) =>
    rotationOf(find(await fresh(), request.params.id).id),
  );

  async function rotationOf(id: string) {
    const view = await cluster.view();
    return toRotation(find(view, id), word, view);
  }
}
