import type { FileUse, Model, Mount, Port, Service } from "./model.ts";

type Plain = Record<string, unknown>;

/** Lists that a later file replaces whole. */
const REPLACED = new Set(["command", "entrypoint", "test"]);
/** Lists whose entries are known by a part of them: a later one with the same takes the place of the earlier. */
const KEYED: Record<string, (entry: never) => string> = {
  ports: ({ target, published, protocol }: Port) => `${target} ${published ?? ""} ${protocol}`,
  volumes: ({ target }: Mount) => target,
  secrets: ({ target, source }: FileUse) => target ?? source,
  configs: ({ target, source }: FileUse) => target ?? source,
  env_file: ({ path }: { path: string }) => path,
};

/** Where a secret's or config's data comes from: a later file's word replaces an earlier one's. */
const SOURCES = ["file", "environment", "content", "driver", "external"] as const;

/** A file over another: mappings are joined, lists appended, all else replaced. */
export function mergeModels(base: Partial<Model>, over: Partial<Model>): Partial<Model> {
  const cleared = { ...base };
  for (const kind of ["secrets", "configs"] as const)
    for (const [name, object] of Object.entries(over[kind] ?? {})) {
      const before = cleared[kind]?.[name];
      if (before === undefined || !SOURCES.some((source) => source in object)) continue;
      const rest = { ...before };
      for (const source of SOURCES) delete rest[source];
      cleared[kind] = { ...cleared[kind], [name]: rest };
    }
  return mergeObjects(cleared as Plain, over as Plain) as Partial<Model>;
}

/** The same for one service and the one that it extends. */
export function mergeServices(base: Service, over: Service): Service {
  return mergeObjects(base, over) as Service;
}

function mergeObjects(base: Plain, over: Plain): Plain {
  const result: Plain = { ...base };
  for (const [key, value] of Object.entries(over))
    result[key] = Object.hasOwn(base, key) ? mergeValues(key, base[key], value) : value;
  return result;
}

function mergeValues(key: string, base: unknown, over: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(over)) return mergeLists(key, base, over);
  if (!isPlain(base) || !isPlain(over)) return over;
  // options are a driver's: another driver has others
  if (key === "logging" && base.driver && over.driver && base.driver !== over.driver) return over;
  return mergeObjects(base, over);
}

function mergeLists(key: string, base: unknown[], over: unknown[]): unknown[] {
  if (REPLACED.has(key)) return over;
  const nameOf = (KEYED[key] ?? JSON.stringify) as (entry: unknown) => string;
  const found = new Map(base.map((entry) => [nameOf(entry), entry]));
  for (const entry of over) {
    const before = found.get(nameOf(entry));
    found.set(nameOf(entry), isPlain(before) && isPlain(entry) ? { ...before, ...entry } : entry);
  }
  return [...found.values()];
}

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Takes what stands under a path of keys out of a model. */
export function without(model: Partial<Model>, path: string[]): Partial<Model> {
  return remove(model as Plain, path) as Partial<Model>;
}

function remove(from: Plain, [key, ...rest]: string[]): Plain {
  if (key === undefined || !Object.hasOwn(from, key)) return from;
  const { [key]: found, ...others } = from;
  if (rest.length === 0) return others;
  return isPlain(found) ? { ...from, [key]: remove(found, rest) } : from;
}
