import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import type {
  Config,
  Secret,
  SecretReference,
  Service,
  ServiceSpec,
  TaskSpec,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "./store/mod.ts";

/** What secrets and configs do alike, each in its own table. Their objects have the same shape. */
export interface DataKind {
  readonly word: "secret" | "config";
  /** A value must be smaller. */
  readonly limit: number;
  all(view: StoreView): Secret[];
  get(view: StoreView, id: string): Secret | undefined;
  byName(view: StoreView, name: string): Secret | undefined;
  put(object: Secret, ifVersion: number): Action;
  remove(id: string): Action;
  refs(task: TaskSpec | undefined): SecretReference[];
}

export const SECRETS: DataKind = {
  word: "secret",
  limit: 500 << 10,
  all: (view) => view.secrets(),
  get: (view, id) => view.secret(id),
  byName: (view, name) => view.secretByName(name),
  put: (secret, ifVersion) => ({ kind: { $case: "putSecret", value: { secret, ifVersion } } }),
  remove: (id) => ({ kind: { $case: "removeSecret", value: id } }),
  refs: (task) => task?.container?.secrets ?? [],
};

export const CONFIGS: DataKind = {
  word: "config",
  limit: 1000 << 10,
  all: (view) => view.configs(),
  get: (view, id) => view.config(id),
  byName: (view, name) => view.configByName(name),
  put: (config: Config, ifVersion) => ({ kind: { $case: "putConfig", value: { config, ifVersion } } }),
  remove: (id) => ({ kind: { $case: "removeConfig", value: id } }),
  refs: (task) => task?.container?.configs ?? [],
};

export const DATA_KINDS: readonly DataKind[] = [SECRETS, CONFIGS];

/** The services whose present spec names the secret or config. */
export function servicesWith(view: StoreView, kind: DataKind, id: string): Service[] {
  return view.services().filter(({ spec }) => pinned(kind, spec, id).length > 0);
}

/** The revisions of it that a spec is pinned to. */
export function pinned(kind: DataKind, spec: ServiceSpec | undefined, id: string): number[] {
  return kind
    .refs(spec?.task)
    .filter((ref) => ref.id === id)
    .map((ref) => ref.revision);
}
