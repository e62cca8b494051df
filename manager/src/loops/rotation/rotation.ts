import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { Rotation, Secret, Service } from "@creel/shared/gen/cluster/v1/objects.ts";
import { DATA_KINDS, type DataKind, pinned, servicesWith } from "../../data.ts";
import { hasFailed, isFinished, isLive, type StoreView } from "../../store/mod.ts";
import type { Loop } from "../loop.ts";
import { isGlobal, isReplicated } from "../slots.ts";

/**
 * Ends rotations of secrets and configs: completed when every service that names it has come to its new revision,
 * undone for all when the update of one has failed. Then forgets revisions that nobody uses.
 */
export const rotation: Loop = (view, _changed, { now }) => {
  const actions: Action[] = [];
  for (const kind of DATA_KINDS) {
    for (const object of kind.all(view)) {
      const action =
        object.rotation?.state === "rotating"
          ? advance(view, kind, object, object.rotation, now)
          : object.revisions.length > 1
            ? forget(view, kind, object)
            : undefined;
      if (action) actions.push(action);
    }
  }
  return { actions };
};

function advance(
  view: StoreView,
  kind: DataKind,
  object: Secret,
  under: Rotation,
  now: number,
): Action | undefined {
  let done = true;
  for (const service of servicesWith(view, kind, object.id)) {
    const failure = failureOf(view, service, pinned(kind, service.spec, object.id), under);
    if (failure !== undefined) {
      const message = `service ${service.spec!.name}: ${failure}`;
      const rotation: Rotation = { ...under, state: "undone", completedAt: now, message };
      return setRevision(object, under.from, rotation);
    }
    done &&= hasArrived(view, service);
  }
  if (!done) return undefined;
  return setRevision(object, under.to, { ...under, state: "completed", completedAt: now });
}

/** Why the service will not come to the new revision; undefined while it may, or has. */
function failureOf(
  view: StoreView,
  service: Service,
  revisions: number[],
  { to }: Rotation,
): string | undefined {
  const { state = "", message = "" } = service.updateStatus ?? {};
  const turnedBack = revisions.some((revision) => revision !== to) || state.startsWith("rollback");
  if (!turnedBack && state !== "paused") return undefined;
  const err = view
    .recordsOfService(service.id)
    .filter((task) => hasFailed(task) && kept(task.err))
    .reduce((last, task) => (task.statusAt >= last.at ? { at: task.statusAt, err: task.err } : last), {
      at: 0,
      err: "",
    }).err;
  return [message || "it was turned back to the revision before", err].filter(kept).join(": ");
}

const kept = (text: string) => text !== "";

function hasArrived(view: StoreView, service: Service): boolean {
  // jobs are not run again for it: their next tasks have the new value
  if (!isReplicated(service) && !isGlobal(service)) return true;
  const state = service.updateStatus?.state ?? "";
  if (state !== "") return state === "completed";
  const old = view
    .recordsOfService(service.id)
    .some((task) => isLive(task) && task.specVersion !== service.specVersion);
  return !old;
}

function forget(view: StoreView, kind: DataKind, object: Secret): Action | undefined {
  const used = new Set([object.revision]);
  for (const service of servicesWith(view, kind, object.id)) {
    for (const revision of pinned(kind, service.spec, object.id)) used.add(revision);
    for (const task of view.recordsOfService(service.id)) {
      if (isFinished(task)) continue;
      for (const ref of kind.refs(task.spec)) if (ref.id === object.id) used.add(ref.revision);
    }
  }
  const unused = object.revisions.map(({ number }) => number).filter((number) => !used.has(number));
  return unused.length === 0 ? undefined : setRevision(object, object.revision, object.rotation, unused);
}

function setRevision(
  { id, meta }: Secret,
  revision: number,
  rotation: Rotation | undefined,
  forget: number[] = [],
): Action {
  return {
    kind: {
      $case: "setRevision",
      value: { id, revision, add: undefined, forget, rotation, ifVersion: meta?.version ?? 0 },
    },
  };
}
