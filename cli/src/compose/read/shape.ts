import { resolve } from "node:path";
import { didYouMean, type Place, type Problems } from "../problems.ts";
import { type Dict, type Node, type Scalar, toPlain } from "../yaml/node.ts";

/** What relative paths are meant from. */
export interface Base {
  folder: string;
  /** What `~` stands for. */
  home?: string | undefined;
}

/** What a reader knows beside the node itself. */
export class Scope {
  readonly problems: Problems;
  /** The key: services.web.ports[0]. */
  readonly path: string;
  readonly #base: Base;
  /** Where each key stands: for what can only be judged once all is read. */
  readonly places: Map<string, Place>;
  constructor(problems: Problems, base: Base, places = new Map<string, Place>(), path = "") {
    this.problems = problems;
    this.#base = base;
    this.places = places;
    this.path = path;
  }

  at(key: string | number, place: Place): Scope {
    const suffix = typeof key === "number" ? `[${key}]` : this.path === "" ? key : `.${key}`;
    const path = `${this.path}${suffix}`;
    this.places.set(path, place);
    return new Scope(this.problems, this.#base, this.places, path);
  }

  /** A path of this machine, whole. */
  resolve(path: string): string {
    const { folder, home } = this.#base;
    return resolve(folder, home && /^~(?=\/|$)/.test(path) ? home + path.slice(1) : path);
  }

  fail(node: Node, message: string, hint = ""): undefined {
    this.problems.add(node.at, this.path, message, hint);
  }
}

/** Makes a value of a node; undefined when it cannot, which the scope's problems then say. */
export type Read<T> = (node: Node, scope: Scope) => T | undefined;

const isNull = (node: Node): boolean => node.kind === "scalar" && node.value === null;
export const isText = (node: Node): node is Scalar & { value: string } =>
  node.kind === "scalar" && typeof node.value === "string";

function said(node: Node): string {
  if (node.kind === "list") return "a list";
  if (node.kind === "dict") return "a mapping";
  return node.value === null ? "nothing" : JSON.stringify(node.value);
}

/** A string, and no number: `image: 5` is a mistake. */
export const text: Read<string> = (node, scope) => {
  if (isText(node)) return node.value;
  const quote = node.kind === "scalar" && node.value !== null ? `in quotes: "${node.source}"` : "";
  return scope.fail(node, `must be a string, not ${said(node)}`, quote);
};

/** A string, or a number or truth value as it was written. */
export const word: Read<string> = (node, scope) =>
  node.kind === "scalar" && node.value !== null
    ? node.source
    : scope.fail(node, `must be a string, not ${said(node)}`);

/** A number, also one that a variable put there. */
export const number: Read<number> = (node, scope) => {
  const value = isText(node) && node.value.trim() !== "" ? Number(node.value) : undefined;
  if (node.kind === "scalar" && typeof node.value === "number" && Number.isFinite(node.value))
    return node.value;
  if (value !== undefined && Number.isFinite(value)) return value;
  return scope.fail(node, `must be a number, not ${said(node)}`);
};

/** A whole number between two bounds. */
export function integer(least = 0, most = Number.MAX_SAFE_INTEGER): Read<number> {
  return (node, scope) => {
    const value = number(node, scope);
    if (value === undefined) return undefined;
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `between ${least} and ${most}`;
    return scope.fail(node, `must be a whole number ${range}, not ${said(node)}`);
  };
}

/** true or false, in YAML's words. */
export const flag: Read<boolean> = (node, scope) => {
  if (node.kind === "scalar" && typeof node.value === "boolean") return node.value;
  const value = isText(node) ? node.value.toLowerCase() : "";
  if (["y", "yes", "true", "on"].includes(value)) return true;
  if (["n", "no", "false", "off"].includes(value)) return false;
  return scope.fail(node, `must be true or false, not ${said(node)}`);
};

/** One of some words. */
export function oneOf(...words: string[]): Read<string> {
  return (node, scope) => {
    const value = text(node, scope);
    if (value === undefined || words.includes(value)) return value;
    return scope.fail(node, `must be ${words.join(" or ")}, not "${value}"`, didYouMean(value, words));
  };
}

/** A string that `check` has nothing against; what it has comes back. */
export function checked(read: Read<string>, check: (value: string) => string | undefined): Read<string> {
  return (node, scope) => {
    const value = read(node, scope);
    if (value === undefined) return undefined;
    const wrong = check(value);
    return wrong === undefined ? value : scope.fail(node, wrong);
  };
}

/** A list of the same. */
export function list<T>(item: Read<T>): Read<T[]> {
  return (node, scope) => {
    if (node.kind !== "list") return scope.fail(node, `must be a list, not ${said(node)}`);
    return node.items.flatMap((each, i) => {
      const value = item(each, scope.at(i, each.at));
      return value === undefined ? [] : [value];
    });
  };
}

/** One, or a list of them. */
export function oneOrList<T>(item: Read<T>): Read<T[]> {
  const many = list(item);
  return (node, scope) => {
    if (node.kind === "list") return many(node, scope);
    const value = item(node, scope);
    return value === undefined ? undefined : [value];
  };
}

/** A mapping of free names. `missing`: the value of a name with nothing behind it. */
export function dictOf<T>(value: Read<T>, missing?: () => T): Read<Record<string, T>> {
  return (node, scope) => {
    if (node.kind !== "dict") return scope.fail(node, `must be a mapping, not ${said(node)}`);
    const found: [string, T][] = [];
    for (const [key, entry] of node.entries) {
      const inner = scope.at(key, entry.at);
      const read = missing && isNull(entry.node) ? missing() : value(entry.node, inner);
      if (read !== undefined) found.push([key, read]);
    }
    return Object.fromEntries(found);
  };
}

/** What a mapping's keys are. */
export interface Keys {
  [key: string]: Read<unknown>;
}

export interface ObjectOptions {
  required?: string[];
  /** Keys that are not taken, each with what to do in place of it. */
  refused?: Record<string, string>;
}

/** A mapping with known keys; those that begin with x- are anybody's. A key without a value is as if it was not there. */
export function object<T extends object>(keys: Keys, o: ObjectOptions = {}): Read<T> {
  return (node, scope) => {
    if (node.kind !== "dict") return scope.fail(node, `must be a mapping, not ${said(node)}`);
    const found: [string, unknown][] = [];
    for (const [key, entry] of node.entries) {
      const inner = scope.at(key, entry.at);
      if (Object.hasOwn(keys, key)) {
        const value = isNull(entry.node) ? undefined : keys[key]!(entry.node, inner);
        if (value !== undefined) found.push([key, value]);
      } else if (key.startsWith("x-")) found.push([key, toPlain(entry.node)]);
      else unknown(key, entry.at, scope, keys, o);
    }
    for (const key of o.required ?? []) if (!isGiven(node, key)) return scope.fail(node, `${key} is missing`);
    return Object.fromEntries(found) as T;
  };
}

const isGiven = (node: Dict, key: string) => node.entries.has(key) && !isNull(node.entries.get(key)!.node);

function unknown(key: string, place: Place, scope: Scope, keys: Keys, o: ObjectOptions): void {
  const path = scope.path === "" ? key : `${scope.path}.${key}`;
  const refused = o.refused?.[key];
  if (refused !== undefined) scope.problems.add(place, path, "is not supported", refused);
  else scope.problems.add(place, path, "unknown key", didYouMean(key, Object.keys(keys)));
}

/** Whatever it is, as it is: a key that Swarm has no use for. */
export const anything: Read<unknown> = (node) => toPlain(node);

/** `NAME=value` lines or a mapping, as a mapping. `bare`: the value of a name alone. */
export function pairs<T extends string | null>(bare: T, separators = "="): Read<Record<string, string | T>> {
  const dict = dictOf<string | T>(word, () => bare);
  const lines = list(text);
  return (node, scope) => {
    if (node.kind === "dict") return dict(node, scope);
    const found = lines(node, scope);
    return (
      found &&
      Object.fromEntries(
        found.map((line): [string, string | T] => {
          const split = line.search(new RegExp(`[${separators}]`));
          return split < 0 ? [line, bare] : [line.slice(0, split), line.slice(split + 1)];
        }),
      )
    );
  };
}
