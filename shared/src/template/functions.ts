import { TemplateError } from "./error.ts";
import { format, json, MAX_WIDTH, show } from "./print.ts";

/** A function of templates. */
export type Fn = (...args: unknown[]) => unknown;

/** Whether `if`, `and` and `or` take a value for true: not zero, not empty. */
export function truth(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === 0 || value === "") return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** Go's functions and those that Docker adds. `and` and `or` are the evaluator's own: they stop early. */
export const functions: Record<string, Fn> = {
  not: (value) => !truth(value),
  len: (value) => {
    if (typeof value === "string") return Buffer.byteLength(value);
    if (Array.isArray(value)) return value.length;
    if (value instanceof Map) return value.size;
    if (typeof value === "object" && value !== null) return Object.keys(value).length;
    throw new TemplateError(`error calling len: len of ${value === null ? "nil pointer" : typeof value}`);
  },
  index: (value, ...keys) => keys.reduce(at, value),
  slice: (value, from = 0, to) => {
    if (typeof value !== "string" && !Array.isArray(value))
      throw new TemplateError("error calling slice: can't slice that");
    const end = (to as number | undefined) ?? value.length;
    if ((from as number) < 0 || end > value.length || (from as number) > end)
      throw new TemplateError(`error calling slice: index out of range: ${show(to ?? from)}`);
    return value.slice(from as number, end);
  },
  print: (...args) =>
    args
      .map((arg, i) =>
        i > 0 && typeof arg !== "string" && typeof args[i - 1] !== "string" ? ` ${show(arg)}` : show(arg),
      )
      .join(""),
  println: (...args) => `${args.map(show).join(" ")}\n`,
  printf: (pattern, ...args) => format(text("printf", pattern), args),
  eq: (first, ...others) => {
    if (others.length === 0) throw new TemplateError("error calling eq: missing argument for comparison");
    return others.some((other) => same(first, other));
  },
  ne: (a, b) => !same(a, b),
  lt: (a, b) => compare("lt", a, b) < 0,
  le: (a, b) => compare("le", a, b) <= 0,
  gt: (a, b) => compare("gt", a, b) > 0,
  ge: (a, b) => compare("ge", a, b) >= 0,
  html: (...args) =>
    args
      .map(show)
      .join("")
      .replace(/[<>&'"]/g, (sign) => `&#${sign.charCodeAt(0)};`),
  urlquery: (...args) => encodeURIComponent(args.map(show).join("")),

  json: (value) => json(value),
  split: (value, separator) => text("split", value).split(text("split", separator)),
  join: (value, separator) => {
    if (value === null || value === undefined) return "";
    if (!Array.isArray(value)) throw new TemplateError("error calling join: a list is needed");
    return value.map(show).join(text("join", separator));
  },
  title: (value) =>
    text("title", value).replace(
      /(^|[^\p{L}\p{N}_'])(\p{L})/gu,
      (_, before, letter) => before + letter.toUpperCase(),
    ),
  lower: (value) => text("lower", value).toLowerCase(),
  upper: (value) => text("upper", value).toUpperCase(),
  pad: (value, before, after) => blanks(before) + text("pad", value) + blanks(after),
  truncate: (value, length) => text("truncate", value).slice(0, Number(length)),
};

function blanks(count: unknown): string {
  const number = Number(count);
  if (!(number >= 0 && number <= MAX_WIDTH)) throw new TemplateError("error calling pad: width out of range");
  return " ".repeat(number);
}

function text(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  throw new TemplateError(
    `error calling ${name}: wrong type for value; expected string; got ${typeof value}`,
  );
}

function at(value: unknown, key: unknown): unknown {
  if (Array.isArray(value) || typeof value === "string") {
    const index = Number(key);
    if (!Number.isInteger(index))
      throw new TemplateError(`error calling index: cannot index with a ${typeof key}`);
    if (index < 0 || index >= value.length)
      throw new TemplateError(`error calling index: index out of range: ${index}`);
    return typeof value === "string" ? value.charCodeAt(index) : (value[index] as unknown);
  }
  if (value instanceof Map) return value.get(String(key)) ?? "";
  if (typeof value === "object" && value !== null)
    return Object.hasOwn(value, String(key)) ? (value as Record<string, unknown>)[String(key)] : "";
  throw new TemplateError("error calling index: index of untyped nil");
}

function same(a: unknown, b: unknown): boolean {
  if (a === null || a === undefined || b === null || b === undefined) return (a ?? null) === (b ?? null);
  if (typeof a === "object" || typeof b === "object")
    throw new TemplateError("error calling eq: incompatible types for comparison");
  if (typeof a !== typeof b) throw new TemplateError("error calling eq: incompatible types for comparison");
  return a === b;
}

function compare(name: string, a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : Number(a > b);
  throw new TemplateError(`error calling ${name}: incompatible types for comparison`);
}
