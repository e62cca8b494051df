import { setFlagsFromString } from "node:v8";
import { CreelError } from "@creel/shared";

// Patterns of clients are matched in linear time, as Go's are: flag "l".
setFlagsFromString("--enable-experimental-regexp-engine");

/** Docker's filters: for each key the values, of which one must match. */
export type Filters = Map<string, string[]>;

/**
 * Parses the `filters` parameter, in both forms that clients send: `{"key":["value"]}` and
 * `{"key":{"value":true}}`. A key that is not among `known` is refused.
 */
export function parseFilters(raw: string, known: readonly string[]): Filters {
  const filters: Filters = new Map();
  if (raw === "") return filters;
  let parsed: unknown;
  try {
    parsed = JSON.parse(raw);
  } catch {
    throw new CreelError("invalid_filter", { filter: raw });
  }
  if (parsed === null) return filters;
  if (typeof parsed !== "object" || Array.isArray(parsed))
    throw new CreelError("invalid_filter", { filter: raw });
  for (const [key, values] of Object.entries(parsed)) {
    if (!known.includes(key)) throw new CreelError("invalid_filter", { filter: key });
    const list = valuesOf(values);
    if (list === undefined) throw new CreelError("invalid_filter", { filter: raw });
    if (list.length > 0) filters.set(key, list);
  }
  return filters;
}

function valuesOf(values: unknown): string[] | undefined {
  if (Array.isArray(values)) return values.every((v) => typeof v === "string") ? values : undefined;
  if (typeof values !== "object" || values === null) return undefined;
  const entries = Object.entries(values);
  if (!entries.every(([, on]) => typeof on === "boolean")) return undefined;
  return entries.filter(([, on]) => on).map(([value]) => value);
}

/** Whether no value is asked for `key`, or `test` holds for one of them. */
export function anyOf(filters: Filters, key: string, test: (value: string) => boolean): boolean {
  const values = filters.get(key);
  return values === undefined || values.some(test);
}

/** Whether `labels` has all that the filter `key` asks for: `name` or `name=value` each. */
export function labelsMatch(filters: Filters, key: string, labels: Record<string, string>): boolean {
  return (filters.get(key) ?? []).every((wanted) => hasLabel(labels, wanted));
}

/** Whether `labels` has the label that `wanted` (`name` or `name=value`) asks for. */
export function hasLabel(labels: Record<string, string>, wanted: string): boolean {
  const at = wanted.indexOf("=");
  const name = at < 0 ? wanted : wanted.slice(0, at);
  if (!Object.hasOwn(labels, name)) return false;
  return at < 0 || labels[name] === wanted.slice(at + 1);
}

/**
 * Whether `value` matches one of the filter's values: a regular expression, as with Docker. A leading slash, as container
 * names have in Docker's API, may be left out.
 */
export function nameMatches(filters: Filters, key: string, value: string): boolean {
  return anyOf(filters, key, (wanted) =>
    [value, value.replace(/^\//, "")].some((name) => matches(name, wanted)),
  );
}

function matches(name: string, wanted: string): boolean {
  if (name === wanted) return true;
  try {
    return new RegExp(wanted, "l").test(name);
  } catch {
    return false;
  }
}

/** A filter whose value must be a boolean; undefined when it is not asked for. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (values === undefined) return undefined;
  const value = values.length === 1 ? booleanOf(values[0]!) : undefined;
  if (value !== undefined) return value;
  throw new CreelError("invalid_filter", { filter: `${key}=${values}` });
}

/** A boolean as Go reads one; undefined for what is none. */
export function booleanOf(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "True", "TRUE"].includes(text)) return true;
  return ["0", "f", "F", "false", "False", "FALSE"].includes(text) ? false : undefined;
}
