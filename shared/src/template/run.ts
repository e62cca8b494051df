import { TemplateError } from "./error.ts";
import { type Fn, functions, truth } from "./functions.ts";
import type { Node, Pipe, Term } from "./parse.ts";
import { show } from "./print.ts";

/** Variables by name, the inner ones before the outer. */
class Scope {
  readonly #own = new Map<string, unknown>();
  readonly #outer: Scope | undefined;
  readonly functions: Record<string, Fn>;
  constructor(functions: Record<string, Fn>, outer?: Scope) {
    this.functions = functions;
    this.#outer = outer;
  }
  inner(): Scope {
    return new Scope(this.functions, this);
  }
  declare(name: string, value: unknown): void {
    this.#own.set(name, value);
  }
  get(name: string): unknown {
    if (this.#own.has(name)) return this.#own.get(name);
    if (this.#outer === undefined) throw new TemplateError(`undefined variable "${name}"`);
    return this.#outer.get(name);
  }
  assign(name: string, value: unknown): void {
    if (this.#own.has(name)) this.#own.set(name, value);
    else if (this.#outer === undefined) throw new TemplateError(`undefined variable "${name}"`);
    else this.#outer.assign(name, value);
  }
}

type Stop = "break" | "continue" | undefined;
interface State {
  out: string[];
  stepsLeft: number;
}

const MAX_RANGE = 1_000_000;

/** Runs a template over `data`. A field that is a function is called with what follows it. */
export function run(
  nodes: Node[],
  data: unknown,
  {
    functions: more = {},
    maxSteps = Number.POSITIVE_INFINITY,
  }: { functions?: Record<string, Fn>; maxSteps?: number },
): string {
  const state: State = { out: [], stepsLeft: maxSteps };
  const scope = new Scope({ ...functions, ...more });
  scope.declare("$", data);
  walk(nodes, data, scope, state);
  return state.out.join("");
}

function walk(nodes: Node[], dot: unknown, scope: Scope, state: State): Stop {
  for (const node of nodes) {
    const stop = step(node, dot, scope, state);
    if (stop !== undefined) return stop;
  }
  return undefined;
}

function step(node: Node, dot: unknown, scope: Scope, state: State): Stop {
  if (--state.stepsLeft < 0) throw new TemplateError("it goes on for too long");
  switch (node.kind) {
    case "text":
      state.out.push(node.text);
      return undefined;
    case "action": {
      const value = evaluate(node.pipe, dot, scope);
      if (node.pipe.variables.length === 0) state.out.push(show(value));
      return undefined;
    }
    case "break":
    case "continue":
      return node.kind;
    case "range":
      return range(node, dot, scope, state);
    default: {
      const inner = scope.inner();
      const value = evaluate(node.pipe, dot, inner);
      if (!truth(value)) return walk(node.otherwise, dot, inner, state);
      return walk(node.body, node.kind === "with" ? value : dot, inner, state);
    }
  }
}

function range(
  node: Node & { kind: "if" | "with" | "range" },
  dot: unknown,
  scope: Scope,
  state: State,
): Stop {
  const value = evaluate({ ...node.pipe, variables: [] }, dot, scope);
  const entries = entriesOf(value);
  if (entries.length === 0) return walk(node.otherwise, dot, scope, state);
  for (const [key, each] of entries) {
    const inner = scope.inner();
    const names = node.pipe.variables;
    if (names.length > 0) inner.declare(names.at(-1)!, each);
    if (names.length > 1) inner.declare(names[0]!, key);
    if (walk(node.body, each, inner, state) === "break") break;
  }
  return undefined;
}

function entriesOf(value: unknown): [unknown, unknown][] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === "number") {
    if (!(value <= MAX_RANGE)) throw new TemplateError("range over too large a number");
    return Array.from({ length: Math.max(0, value) }, (_, i) => [i, i]);
  }
  if (typeof value !== "object") throw new TemplateError(`range can't iterate over a ${typeof value}`);
  return Object.entries(value instanceof Map ? Object.fromEntries(value) : value).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
}

function evaluate(pipe: Pipe, dot: unknown, scope: Scope): unknown {
  let value: unknown;
  pipe.commands.forEach((command, i) => {
    value = call(command, dot, scope, i > 0 ? [value] : []);
  });
  for (const name of pipe.variables) {
    if (pipe.declares) scope.declare(name, value);
    else scope.assign(name, value);
  }
  return value;
}

function call(command: Term[], dot: unknown, scope: Scope, piped: unknown[]): unknown {
  const [head, ...rest] = command as [Term, ...Term[]];
  if (head.kind === "function") {
    if (head.name === "and" || head.name === "or") return early(head.name, rest, dot, scope, piped);
    const known = Object.hasOwn(scope.functions, head.name) ? scope.functions[head.name] : undefined;
    if (known === undefined) throw new TemplateError(`function "${head.name}" not defined`);
    return known(...rest.map((term) => resolveTerm(term, dot, scope)), ...piped);
  }
  const args = [...rest.map((term) => resolveTerm(term, dot, scope)), ...piped];
  const value = head.kind === "fields" ? fields(head, dot, scope, args) : resolveTerm(head, dot, scope);
  if (args.length > 0 && !(head.kind === "fields" && value !== undefined && isCallable(head, dot, scope)))
    throw new TemplateError(`can't give argument to non-function ${words(head)}`);
  return value;
}

function early(name: "and" | "or", terms: Term[], dot: unknown, scope: Scope, piped: unknown[]): unknown {
  const all = [
    ...terms.map((term) => () => resolveTerm(term, dot, scope)),
    ...piped.map((value) => () => value),
  ];
  if (all.length === 0) throw new TemplateError(`wrong number of args for ${name}: want at least 1 got 0`);
  let value: unknown;
  for (const next of all) {
    value = next();
    if (truth(value) === (name === "or")) return value;
  }
  return value;
}

function resolveTerm(term: Term, dot: unknown, scope: Scope): unknown {
  switch (term.kind) {
    case "dot":
      return dot;
    case "nil":
      return null;
    case "literal":
      return term.value;
    case "variable":
      return scope.get(term.name);
    case "pipe":
      return evaluate(term.pipe, dot, scope);
    case "function":
      return call([term], dot, scope, []);
    case "fields":
      return fields(term, dot, scope, []);
  }
}

type Fields = Term & { kind: "fields" };

function fields(term: Fields, dot: unknown, scope: Scope, args: unknown[]): unknown {
  const { owner, value } = locate(term, dot, scope);
  return typeof value === "function" ? (value as (...args: unknown[]) => unknown).apply(owner, args) : value;
}

function isCallable(term: Fields, dot: unknown, scope: Scope): boolean {
  return typeof locate(term, dot, scope).value === "function";
}

function locate(term: Fields, dot: unknown, scope: Scope): { owner: unknown; value: unknown } {
  let owner: unknown;
  let value = resolveTerm(term.of, dot, scope);
  term.path.forEach((name, i) => {
    if (value === null || value === undefined) {
      throw new TemplateError(`at <${words(term, i)}>: nil data; no entry for key "${name}"`);
    }
    if (typeof value !== "object")
      throw new TemplateError(
        `at <${words(term, i + 1)}>: can't evaluate field ${name} in type ${typeof value}`,
      );
    owner = value;
    if (value instanceof Map) {
      value = value.get(name) ?? "";
      return;
    }
    if (!Object.hasOwn(value, name))
      throw new TemplateError(`at <${words(term, i + 1)}>: map has no entry for key "${name}"`);
    value = (value as Record<string, unknown>)[name];
  });
  return { owner, value };
}

function words(term: Term, fieldsShown = Number.POSITIVE_INFINITY): string {
  if (term.kind !== "fields")
    return term.kind === "variable" ? term.name : term.kind === "dot" ? "." : term.kind;
  const of = term.of.kind === "variable" ? term.of.name : "";
  return `${of}.${term.path.slice(0, fieldsShown).join(".")}`;
}
