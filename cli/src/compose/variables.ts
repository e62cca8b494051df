import type { Place, Problems } from "./problems.ts";
import { mapText, type Node } from "./yaml/node.ts";

/** A variable's value; undefined when it is not set. */
export type Lookup = (name: string) => string | undefined;

const NAME = /^[_a-zA-Z][_a-zA-Z0-9]*/;
const MAX_DEPTH = 16;
const MAX_LENGTH = 1 << 20;

/** Puts variables' values into all texts of a file: `$X ${X} ${X:-d} ${X-d} ${X:?e} ${X?e} ${X:+a} ${X+a}`; `$$` is a `$`. */
export function substitute(root: Node, lookup: Lookup, problems: Problems): Node {
  return mapText(root, "", (scalar, path) => {
    const text = scalar.value as string;
    if (!text.includes("$")) return scalar;
    const value = expand(text, lookup, (name) => {
      problems.notes.add(`The "${name}" variable is not set. Defaulting to a blank string.`);
    });
    if (typeof value === "string") return { ...scalar, value, source: value };
    report(problems, scalar.at, path, text, value);
    return scalar;
  });
}

function report(problems: Problems, at: Place, path: string, text: string, failure: Failure): void {
  if (failure.required !== undefined)
    problems.add(at, path, `required variable ${failure.required} is missing a value${failure.why}`);
  else problems.add(at, path, `invalid interpolation in "${text}"${failure.why}`, "write $$ for a plain $");
}

interface Failure {
  required?: string;
  why: string;
}

/** The text with its variables' values, or what is wrong with it. `unset` is told names that have no value at all. */
export function expand(text: string, lookup: Lookup, unset: (name: string) => void): string | Failure {
  try {
    const { value } = new Expander(lookup, unset).run(text, 0, false, 0);
    if (value.length > MAX_LENGTH) return { why: `: longer than ${MAX_LENGTH} characters` };
    return value;
  } catch (error) {
    if (error instanceof Failed) return error.failure;
    throw error;
  }
}

class Failed extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.why);
    this.failure = failure;
  }
}

class Expander {
  readonly #lookup: Lookup;
  readonly #unset: (name: string) => void;
  constructor(lookup: Lookup, unset: (name: string) => void) {
    this.#lookup = lookup;
    this.#unset = unset;
  }

  /** From `start` to the end, or to the brace that closes `${`. */
  run(text: string, start: number, inBraces: boolean, depth: number): { value: string; end: number } {
    if (depth > MAX_DEPTH) throw new Failed({ why: `: nested deeper than ${MAX_DEPTH} levels` });
    let value = "";
    let i = start;
    while (i < text.length && !(inBraces && text[i] === "}")) {
      if (text[i] !== "$") {
        value += text[i++];
        continue;
      }
      const next = text[i + 1];
      if (next === "$") {
        value += "$";
        i += 2;
      } else if (next === "{") {
        const braced = this.#braced(text, i + 2, depth);
        value += braced.value;
        i = braced.end;
      } else {
        const name = NAME.exec(text.slice(i + 1))?.[0];
        if (name === undefined) throw new Failed({ why: `: a name must follow $ at character ${i + 1}` });
        value += this.#plain(name);
        i += 1 + name.length;
      }
    }
    if (inBraces && i >= text.length) throw new Failed({ why: ": a } is missing" });
    return { value, end: i };
  }

  #braced(text: string, start: number, depth: number): { value: string; end: number } {
    const name = NAME.exec(text.slice(start))?.[0];
    if (name === undefined) throw new Failed({ why: `: a name must follow \${ at character ${start - 1}` });
    const rest = start + name.length;
    if (text[rest] === "}") return { value: this.#plain(name), end: rest + 1 };
    if (rest >= text.length) throw new Failed({ why: ": a } is missing" });
    const operator = /^:?[-?+]/.exec(text.slice(rest))?.[0];
    if (operator === undefined)
      throw new Failed({ why: `: what follows ${name} must be one of } :- - :? ? :+ +` });
    const given = this.#lookup(name);
    const isThere = given !== undefined && !(operator[0] === ":" && given === "");
    const isUsed = operator.endsWith("+") ? isThere : !isThere;
    const { value: word, end } = isUsed
      ? this.run(text, rest + operator.length, true, depth + 1)
      : new Expander(
          () => "",
          () => {},
        ).run(text, rest + operator.length, true, depth + 1);
    if (operator.endsWith("?") && !isThere)
      throw new Failed({ required: name, why: word === "" ? "" : `: ${word}` });
    const value = operator.endsWith("+") ? (isThere ? word : "") : isThere ? given : word;
    return { value, end: end + 1 };
  }

  #plain(name: string): string {
    const value = this.#lookup(name);
    if (value === undefined) this.#unset(name);
    return value ?? "";
  }
}
