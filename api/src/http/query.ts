import { CreelError } from "@creel/shared";

/** A request's query as Fastify parses it. */
export type Query = Record<string, string | string[] | undefined>;

/** The last value of `name`, or "". */
export function text(query: Query, name: string): string {
  const value = query[name];
  return Array.isArray(value) ? (value.at(-1) ?? "") : (value ?? "");
}

/** All values of `name`. */
export function texts(query: Query, name: string): string[] {
  const value = query[name];
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

/** A boolean as Docker reads it: anything but "", 0, no, false and none is true. */
export function flag(query: Query, name: string, absent = false): boolean {
  if (query[name] === undefined) return absent;
  return !["", "0", "no", "false", "none"].includes(text(query, name).trim().toLowerCase());
}

/** An integer, or `absent` when it is missing or empty. */
export function integer(query: Query, name: string, absent: number): number {
  const value = text(query, name);
  if (value === "") return absent;
  if (!/^[+-]?\d{1,15}$/.test(value)) {
    throw new CreelError("invalid_parameter", {
      message: `invalid value for ${name}: "${value}" is not a whole number`,
    });
  }
  return Number(value);
}
