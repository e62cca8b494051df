import { isDeepStrictEqual } from "node:util";
import { CreelError, newId } from "@creel/shared";
import type { SecretSpec } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type DataKind, servicesWith } from "../data.ts";
import type { StoreView } from "../store/mod.ts";
import type { Change, ControlContext } from "./change.ts";
import { invalid } from "./names.ts";
import { checkTemplate } from "./templates.ts";

const NAME = /^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$/;
const MAX_NAME = 64;

/** A new secret or config. */
export function createData(
  kind: DataKind,
  spec: SecretSpec,
  data: Buffer,
  { view, random, clock }: ControlContext,
): Change {
  if (spec.name === "") throw invalid("name must be provided");
  if (spec.name.length > MAX_NAME || !NAME.test(spec.name)) {
    throw invalid(
      "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]",
    );
  }
  const driver = spec.templating?.name ?? "";
  if (driver !== "" && driver !== "golang") {
    throw invalid(`unknown template driver ${driver}: use golang, or none`);
  }
  checkValue(kind, spec, data);
  if (kind.byName(view, spec.name)) throw new CreelError(`${kind.word}_name_taken`, { name: spec.name });
  const object = {
    id: newId(random),
    meta: undefined,
    spec: driver === "" ? { ...spec, templating: undefined } : spec,
    revisions: [{ number: 1, data, createdAt: clock.now() }],
    revision: 1,
    rotation: undefined,
  };
  return { actions: [kind.put(object, 0)], id: object.id, warnings: [] };
}

/** Other labels; nothing else of a secret or config can change. */
export function updateData(
  kind: DataKind,
  { id, version, spec, data }: { id: string; version: number; spec: SecretSpec; data: Buffer },
  { view }: ControlContext,
): Change {
  const known = knownData(kind, id, view);
  if (version !== known.meta?.version) throw new CreelError("out_of_sequence");
  const { name, templating } = known.spec!;
  const driver = spec.templating?.name ?? "";
  const value = known.revisions.find(({ number }) => number === known.revision)!.data;
  const same = data.length === 0 || data.equals(value);
  if (spec.name !== name || !same || (driver !== "" && driver !== templating?.name)) {
    throw invalid(
      `only updates to Labels are allowed: a new value is given with creel ${kind.word} rotate, another name to another ${kind.word}`,
    );
  }
  const object = { ...known, spec: { ...known.spec!, labels: spec.labels } };
  const unchanged = isDeepStrictEqual(known.spec!.labels, spec.labels);
  return { actions: unchanged ? [] : [kind.put(object, version)], id, warnings: [] };
}

/** Takes a secret or config away that no service names. */
export function removeData(kind: DataKind, id: string, { view }: ControlContext): Change {
  knownData(kind, id, view);
  return { actions: [kind.remove(id)], id, warnings: [] };
}

/** A new value, and all services that name it are updated to it. */
export function rotateData(
  kind: DataKind,
  { id, data }: { id: string; data: Buffer },
  { view, clock }: ControlContext,
): Change {
  const known = knownData(kind, id, view);
  checkValue(kind, known.spec!, data);
  if (known.rotation?.state === "rotating") {
    throw new CreelError("rotation_under_way", { kind: kind.word, name: known.spec!.name });
  }
  // A number is never given twice: nodes keep values by it.
  const number = Math.max(known.rotation?.to ?? 0, ...known.revisions.map((r) => r.number)) + 1;
  const now = clock.now();
  const used = servicesWith(view, kind, id).length > 0;
  const rotation = {
    from: known.revision,
    to: number,
    state: used ? "rotating" : "completed",
    startedAt: now,
    completedAt: used ? 0 : now,
    message: "",
  };
  const value = {
    id,
    revision: number,
    add: { number, data, createdAt: now },
    forget: [],
    rotation,
    ifVersion: known.meta?.version ?? 0,
  };
  return { actions: [{ kind: { $case: "setRevision", value } }], id, warnings: [] };
}

function knownData(kind: DataKind, id: string, view: StoreView) {
  const known = kind.get(view, id);
  if (!known) throw new CreelError(`no_such_${kind.word}`, { id });
  return known;
}

function checkValue({ word, limit }: DataKind, { name, templating }: SecretSpec, data: Buffer): void {
  if (data.length === 0 || data.length >= limit) {
    throw invalid(`${word} data must be larger than 0 and less than ${limit} bytes`);
  }
  if (templating?.name) checkTemplate(`${word} ${name}`, data.toString(), word === "config");
}
