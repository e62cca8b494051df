import { pairs } from "../words.ts";

/** Parts of a specification by name. */
export type Fields = Record<string, unknown>;

/** A map with entries added (`KEY=VALUE`) and removed; undefined where nothing was asked for. */
export function changedMap(
  before: Record<string, string> | undefined,
  added: string[] | undefined,
  removed: string[] | undefined,
) {
  if (added === undefined && removed === undefined) return undefined;
  const result = { ...before, ...pairs(added) };
  for (const key of removed ?? []) delete result[key];
  return result;
}

/** A list that is given anew, or with entries added and removed; undefined where nothing was asked for. */
export function changedList(
  before: string[] | undefined,
  given: string[] | undefined,
  added: string[] | undefined,
  removed: string[] | undefined,
): string[] | undefined {
  if (given === undefined && added === undefined && removed === undefined) return undefined;
  const kept = (given ?? before ?? []).filter((each) => !removed?.includes(each));
  return [...kept, ...(added ?? []).filter((each) => !kept.includes(each))];
}

/** A list of things with a name, of which a new one takes the place of the old; undefined where nothing was asked for. */
export function changedByKey<T>(
  before: T[] | undefined,
  added: T[] | undefined,
  removed: string[] | undefined,
  keyOf: (each: T) => string,
): T[] | undefined {
  if (added === undefined && removed === undefined) return undefined;
  const result = new Map((before ?? []).map((each) => [keyOf(each), each]));
  for (const key of removed ?? []) result.delete(key);
  for (const each of added ?? []) result.set(keyOf(each), each);
  return [...result.values()];
}

/** Sets what is given of a part; the part itself only where something of it is. */
export function merge(target: Fields, key: string, given: Fields): void {
  const found = defined(given);
  if (Object.keys(found).length > 0) target[key] = { ...(target[key] as Fields | undefined), ...found };
}

/** A part of a part with what is given; undefined where nothing is. */
export function merged(part: unknown, key: string, given: Fields): Fields | undefined {
  const found = defined(given);
  if (Object.keys(found).length === 0) return undefined;
  return { ...((part as Fields | undefined)?.[key] as Fields | undefined), ...found };
}

/** The fields that have a value. */
export function defined(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
