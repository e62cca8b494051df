import type { PutConfig, PutSecret, SetRevision } from "@creel/shared/gen/cluster/v1/actions.ts";
import type {
  Rotation,
  Secret,
  Service,
  ServiceSpec,
  UpdateStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Draft, deny, metaOf, type Outcome, versionFits } from "./draft.ts";
import { freeze } from "./freeze.ts";
import type { Table } from "./table.ts";
import type { Tables } from "./tables.ts";

/** Secrets and configs alike: what carries a value and is named by services. */
type Kind = "secret" | "config";

/** The whole secret is the proposer's; only `meta` is written here. */
export function putSecret(draft: Draft, { secret, ifVersion }: PutSecret): Outcome {
  const known = secret && draft.tables.secrets.get(secret.id);
  const refused = refusal("secret", draft.tables.secrets, secret, ifVersion);
  if (refused) return refused;
  draft.putSecret(freeze({ ...secret!, meta: metaOf(draft, known) }));
}

export function removeSecret(draft: Draft, id: string): Outcome {
  const known = draft.tables.secrets.get(id);
  if (!known) return deny("no_such_secret", { id });
  const users = usersOf("secret", draft.tables, id);
  if (users !== "") return deny("secret_in_use", { name: known.spec?.name ?? id, services: users });
  draft.removeSecret(id);
}

/** As {@link putSecret}. */
export function putConfig(draft: Draft, { config, ifVersion }: PutConfig): Outcome {
  const known = config && draft.tables.configs.get(config.id);
  const refused = refusal("config", draft.tables.configs, config, ifVersion);
  if (refused) return refused;
  draft.putConfig(freeze({ ...config!, meta: metaOf(draft, known) }));
}

export function removeConfig(draft: Draft, id: string): Outcome {
  const known = draft.tables.configs.get(id);
  if (!known) return deny("no_such_config", { id });
  const users = usersOf("config", draft.tables, id);
  if (users !== "") return deny("config_in_use", { name: known.spec?.name ?? id, services: users });
  draft.removeConfig(id);
}

/** Another present revision: services that are pinned to one before follow. */
export function setRevision(draft: Draft, action: SetRevision): Outcome {
  const { id, revision, add, forget, rotation } = action;
  const kind: Kind = draft.tables.secrets.get(id) ? "secret" : "config";
  const known = draft.tables.secrets.get(id) ?? draft.tables.configs.get(id);
  if (!known) return deny("no_such_secret", { id });
  if (!versionFits(known, action.ifVersion)) return deny("out_of_sequence");
  const revisions = known.revisions.filter(
    ({ number }) => !forget.includes(number) && number !== add?.number,
  );
  if (add) revisions.push(add);
  if (!revisions.some(({ number }) => number === revision)) {
    return deny("invalid_parameter", { message: `${kind} ${id} has no revision ${revision}` });
  }
  const object = freeze({ ...known, meta: metaOf(draft, known), revisions, revision, rotation });
  if (kind === "secret") draft.putSecret(object);
  else draft.putConfig(object);
  for (const service of draft.tables.services) repin(draft, service, object, kind);
}

function repin(draft: Draft, service: Service, { id, spec, revision, rotation }: Secret, kind: Kind): void {
  const container = service.spec?.task?.container;
  if (!container) return;
  const list = kind === "secret" ? "secrets" : "configs";
  if (!container[list].some((ref) => ref.id === id && ref.revision !== revision)) return;
  const refs = container[list].map((ref) => (ref.id === id ? { ...ref, revision } : ref));
  const task = { ...service.spec!.task!, container: { ...container, [list]: refs } };
  const undone = rotation?.state === "undone";
  draft.putService(
    freeze({
      ...service,
      meta: metaOf(draft, service),
      spec: { ...service.spec!, task },
      specVersion: draft.index,
      previousSpec: undone ? undefined : service.spec,
      updateStatus: undone ? turnedBack(draft, `${kind} ${spec?.name}`, rotation) : undefined,
    }),
  );
}

function turnedBack(draft: Draft, what: string, { message }: Rotation): UpdateStatus {
  return {
    state: "rollback_started",
    startedAt: draft.time,
    completedAt: 0,
    message: `rotation of ${what} undone: ${message}`,
  };
}

/** The refusal of a spec that names a secret or config that is not there. */
export function missingData(tables: Tables, spec: ServiceSpec): Outcome {
  const secret = spec.task?.container?.secrets.find(({ id }) => !tables.secrets.get(id));
  if (secret) return deny("secret_not_found", { name: secret.name });
  const config = spec.task?.container?.configs.find(({ id }) => !tables.configs.get(id));
  return config && deny("config_not_found", { name: config.name });
}

function refusal(kind: Kind, table: Table<Secret>, object: Secret | undefined, ifVersion: number): Outcome {
  const name = object?.spec?.name;
  if (!object?.id || !name) return deny("invalid_parameter", { message: `a ${kind} needs an id and a name` });
  if (!versionFits(table.get(object.id), ifVersion)) return deny("out_of_sequence");
  if (table.find((other) => other.id !== object.id && other.spec?.name === name)) {
    return deny(`${kind}_name_taken`, { name });
  }
}

/** The services that name it, as the refusal of its removal tells of them; empty when there are none. */
function usersOf(kind: Kind, tables: Tables, id: string): string {
  const names: string[] = [];
  for (const service of tables.services) {
    // a failing update goes back to the spec before
    const specs = [
      service.spec,
      service.updateStatus?.state === "updating" ? service.previousSpec : undefined,
    ];
    if (specs.some((spec) => refersTo(kind, spec, id))) names.push(service.spec!.name);
  }
  return names.length === 0 ? "" : `service${names.length > 1 ? "s" : ""}: ${names.join(", ")}`;
}

function refersTo(kind: Kind, spec: ServiceSpec | undefined, id: string): boolean {
  const container = spec?.task?.container;
  return (kind === "secret" ? container?.secrets : container?.configs)?.some((ref) => ref.id === id) ?? false;
}
