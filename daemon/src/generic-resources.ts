import { CreelError } from "@creel/shared";
import { NodeResources } from "@creel/shared/gen/cluster/v1/objects.ts";

/** What of its kinds of generic resource a node has: names (`gpu=uuid1`, `gpu=uuid2`), or a number (`ssd=3`). */
export type GenericResources = Pick<NodeResources, "generic" | "named">;

/** Reads `KIND=VALUE` entries as dockerd does: a kind with a number is counted, any other value is the name of one. */
export function parseGenericResources(entries: string[]): GenericResources {
  const bad = (entry: string, why: string) =>
    new CreelError("invalid_parameter", { message: `bad generic resource ${entry}: ${why}` });
  const { generic, named } = NodeResources.fromPartial({});
  for (const entry of entries) {
    const [, kind, value] = /^([^=,\s]+)=([^=,\s]+)$/.exec(entry) ?? [];
    if (kind === undefined || value === undefined) throw bad(entry, "write KIND=NUMBER or KIND=NAME");
    if (kind === "cpu" || kind === "memory") throw bad(entry, `${kind} is counted by itself`);
    const counted = /^\d{1,15}$/.test(value);
    if ((counted ? named : generic)[kind] !== undefined) {
      throw bad(entry, `${kind} has a number and names: it can have one of them`);
    }
    if (counted) generic[kind] = Number(value);
    else {
      const names = named[kind]?.names ?? [];
      if (!names.includes(value)) named[kind] = { names: [...names, value] };
    }
  }
  return { generic, named };
}
