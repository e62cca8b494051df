import { CreelError } from "@creel/shared";

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
 * Whether `value` matches one of the filter's values: plain text anywhere in it, or with `^` and `$` as its ends. A
 * leading slash, as container names have in Docker's API, may be left out.
 */
export function nameMatches(filters: Filters, key: string, value: string): boolean {
  return anyOf(filters, key, (wanted) =>
    [value, value.replace(/^\//, "")].some((name) => matches(name, wanted)),
  );
}

function matches(name: string, wanted: string): boolean {
  if (name.includes(wanted)) return true;
  const start = wanted.startsWith("^");
  const end = wanted.endsWith("$");
  const text = wanted.slice(start ? 1 : 0, end ? -1 : undefined);
  if (start && end) return name === text;
  return start ? name.startsWith(text) : end && name.endsWith(text);
}

/** A filter whose value must be a boolean; undefined when it is not asked for. */
export function booleanFilter(filters: Filters, key: string): boolean | undefined {
  const values = filters.get(key);
  if (values === undefined) return undefined;
  if (values.length === 1 && ["1", "t", "true", "True", "TRUE"].includes(values[0]!)) return true;
  if (values.length === 1 && ["0", "f", "false", "False", "FALSE"].includes(values[0]!)) return false;
  throw new CreelError("invalid_filter", { filter: `${key}=${values}` });
}
