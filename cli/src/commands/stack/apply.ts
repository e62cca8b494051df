import {
  type Change,
  type StackObjects,
  stackChanges,
  withIds,
  withoutUnknown,
} from "../../compose/changes.ts";
import type { StackSpecs } from "../../compose/convert/specs.ts";
import type { Context } from "../../context.ts";
import { DaemonError } from "../../error.ts";
import { at } from "../words.ts";
import { objectsOf } from "./objects.ts";

/**
 * Makes the cluster as `wanted` says, changing nothing that is so; the ids of the stack's services, in order. All is
 * tried on a copy of the cluster's state first, and what this made is taken away again when a part is refused even so: a
 * mistake leaves nothing half made.
 */
export async function applyStack(
  context: Context,
  wanted: StackSpecs,
  o: { prune?: boolean },
): Promise<{ changed: boolean; ids: string[] }> {
  const { client } = context;
  const current = await objectsOf(client, wanted.name);
  const changes = stackChanges(wanted, current, o);
  const changed = changes.some(({ action }) => action !== "compare");
  const ids = new Map(current.services.map(({ ID, Spec }) => [Spec.Name, ID]));
  if (context.planning) {
    for (const { Method, Path, Query, Body } of changes.flatMap(requestOf))
      await (Method === "POST" ? client.post(Path, Query, Body) : client.delete(Path));
    return { changed, ids: [] };
  }
  if (changes.length > 0)
    await client.post("/creel/plan", undefined, { Requests: changes.flatMap(requestOf) });
  const made: { path: string; name: string }[] = [];
  const known: StackObjects = { ...current, secrets: [...current.secrets], configs: [...current.configs] };
  for (const change of changes) {
    if (change.action !== "compare") context.print(words(change));
    try {
      const id = await apply(context, change, known);
      if (change.action !== "create") continue;
      made.push({ path: at(`${change.kind}s`, id), name: `${change.kind} ${change.name}` });
      if (change.kind === "service") ids.set(change.name, id);
    } catch (error) {
      await undo(context, made);
      throw failed(change, error as Error);
    }
  }
  return { changed, ids: wanted.services.flatMap(({ Name }) => ids.get(Name) ?? []) };
}

interface PlannedRequest {
  Method: "POST" | "DELETE";
  Path: string;
  Query?: Record<string, string>;
  Body?: unknown;
}

/** The change as a plan takes it; secrets and configs, which move no task, are left out. */
function requestOf(change: Change): PlannedRequest[] {
  if (change.kind === "secret" || change.kind === "config") return [];
  if (change.action === "remove") return [{ Method: "DELETE", Path: at("services", change.current.ID) }];
  const Body = change.kind === "service" ? withoutUnknown(change.spec) : change.spec;
  if (change.action === "create") return [{ Method: "POST", Path: `/${change.kind}s/create`, Body }];
  const { ID, Version } = change.current;
  return [
    { Method: "POST", Path: at("services", ID, "update"), Query: { version: String(Version.Index) }, Body },
  ];
}

function words(change: Change): string {
  if (change.action === "create") return `Creating ${change.kind} ${change.name}`;
  if (change.action === "remove") return `Removing ${change.kind} ${change.name}`;
  if (change.kind !== "service") return `Updating ${change.kind} ${change.name}`;
  return `Updating service ${change.name} (id: ${change.current.ID}): ${change.fields.join(", ")}`;
}

/** Does it, and gives the id of what it is about. */
async function apply(context: Context, change: Change, known: StackObjects): Promise<string> {
  const { client } = context;
  switch (change.action) {
    case "remove":
      await client.delete(at("services", change.current.ID));
      return change.current.ID;
    case "create":
      return await create(context, change, known);
    case "compare":
    case "update": {
      const { ID, Version } = change.current;
      const spec = change.kind === "service" ? withIds(change.spec, known) : change.spec;
      const path = at(`${change.kind}s`, ID, "update");
      warn(context, await client.post<Warned>(path, { version: Version.Index }, spec));
      return ID;
    }
  }
}

type Warned = { Warnings?: string[] | null } | undefined;

function warn(context: Context, answer: Warned): void {
  for (const warning of answer?.Warnings ?? []) context.warn(warning);
}

async function create(
  context: Context,
  change: Change & { action: "create" },
  known: StackObjects,
): Promise<string> {
  const { client } = context;
  const post = <T>(spec: object) => client.post<T>(`/${change.kind}s/create`, undefined, spec);
  switch (change.kind) {
    case "network": {
      const { Id } = await post<{ Id: string }>(change.spec);
      return Id;
    }
    case "service": {
      const answer = await post<{ ID: string } & Warned>(withIds(change.spec, known));
      warn(context, answer);
      return answer.ID;
    }
    default: {
      const { ID } = await post<{ ID: string }>(change.spec);
      known[`${change.kind}s`].push({ ID, Version: { Index: 0 }, Spec: change.spec });
      return ID;
    }
  }
}

async function undo(context: Context, made: { path: string; name: string }[]): Promise<void> {
  for (const { path, name } of made.toReversed()) {
    try {
      await context.client.delete(path);
      context.print(`Removing ${name} again`);
    } catch (error) {
      context.warn(`${name} could not be removed again: ${(error as Error).message}`);
    }
  }
}

function failed(change: Change, error: Error): Error {
  const status = error instanceof DaemonError ? error.status : 0;
  return new DaemonError(
    status,
    `failed to ${change.action} ${change.kind} ${change.name}: ${error.message}`,
  );
}
