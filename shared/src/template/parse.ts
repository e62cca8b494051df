import { TemplateError } from "./error.ts";
import { type Piece, pieces, type Token, unquote } from "./lex.ts";

/** A value in an action. */
export type Term =
  | { kind: "dot" }
  | { kind: "nil" }
  | { kind: "literal"; value: string | number | boolean }
  | { kind: "variable"; name: string }
  | { kind: "function"; name: string }
  | { kind: "pipe"; pipe: Pipe }
  /** `of.path`: fields one in the other. */
  | { kind: "fields"; of: Term; path: string[] };

/** Commands, each given the result of the one before as its last argument. */
export interface Pipe {
  /** `$x := …`, or `$i, $x := …` of a range. */
  variables: string[];
  declares: boolean;
  commands: Term[][];
}

export type Node =
  | { kind: "text"; text: string }
  | { kind: "action"; pipe: Pipe }
  | { kind: "if" | "with" | "range"; pipe: Pipe; body: Node[]; otherwise: Node[] }
  | { kind: "break" | "continue" };

/** Reads a template; throws {@link TemplateError}. */
export function parse(source: string): Node[] {
  const reader = new BlockReader(pieces(source));
  const { nodes, end } = reader.block(false);
  if (end !== undefined) throw new TemplateError(`unexpected {{${end}}}`);
  return nodes;
}

class BlockReader {
  readonly #pieces: Piece[];
  #at = 0;
  /** What stands after `else` in the action that ended the block: an `if` or a `with`. */
  #rest: Token[] = [];
  constructor(all: Piece[]) {
    this.#pieces = all;
  }

  /** Nodes up to `end` or `else` (which is taken), or the template's end. */
  block(inRange: boolean): { nodes: Node[]; end: "end" | "else" | undefined } {
    const nodes: Node[] = [];
    while (this.#at < this.#pieces.length) {
      const piece = this.#pieces[this.#at++]!;
      if ("text" in piece) {
        nodes.push({ kind: "text", text: piece.text });
        continue;
      }
      const word = piece.action[0]?.kind === "word" ? piece.action[0].text : "";
      const rest = piece.action.slice(1);
      if (word === "end" || word === "else") {
        this.#rest = rest;
        return { nodes, end: word };
      }
      if (word === "if" || word === "with" || word === "range")
        nodes.push(this.#control(word, rest, inRange || word === "range"));
      else if (word === "break" || word === "continue") {
        if (!inRange) throw new TemplateError(`{{${word}}} outside {{range}}`);
        nodes.push({ kind: word });
      } else if (word === "define" || word === "template" || word === "block")
        throw new TemplateError(`{{${word}}} is not supported`);
      else nodes.push({ kind: "action", pipe: pipeOf(piece.action) });
    }
    return { nodes, end: undefined };
  }

  #control(kind: "if" | "with" | "range", tokens: Token[], inRange: boolean): Node {
    const pipe = pipeOf(tokens);
    const { nodes: body, end } = this.block(inRange);
    if (end === undefined) throw new TemplateError("unexpected EOF: {{end}} is missing");
    if (end === "end") return { kind, pipe, body, otherwise: [] };
    const [word, ...rest] = this.#rest;
    if (word !== undefined) {
      if (word.text !== kind || kind === "range")
        throw new TemplateError(`unexpected <${word.text}> in {{else}}`);
      return { kind, pipe, body, otherwise: [this.#control(kind, rest, inRange)] };
    }
    const { nodes: otherwise, end: last } = this.block(inRange);
    if (last !== "end") throw new TemplateError("expected {{end}} after {{else}}");
    return { kind, pipe, body, otherwise };
  }
}

function pipeOf(tokens: Token[]): Pipe {
  const reader = new PipeReader(tokens);
  const pipe = reader.pipe();
  if (!reader.done) throw new TemplateError(`unexpected ${JSON.stringify(reader.peek()?.text)} in command`);
  return pipe;
}

class PipeReader {
  readonly #tokens: Token[];
  #at = 0;
  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }
  get done(): boolean {
    return this.#at >= this.#tokens.length;
  }
  peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  pipe(): Pipe {
    const { variables, declares } = this.#variables();
    const commands: Term[][] = [];
    for (;;) {
      const command: Term[] = [];
      while (!this.done && !this.#isSign("|") && !this.#isSign(")")) command.push(this.#operand());
      if (command.length === 0) throw new TemplateError("missing value for command");
      commands.push(command);
      if (!this.#isSign("|")) return { variables, declares, commands };
      this.#at++;
    }
  }

  #isSign(text: string): boolean {
    const token = this.peek();
    return token?.kind === "sign" && token.text === text;
  }

  #variables(): { variables: string[]; declares: boolean } {
    const variables: string[] = [];
    let at = this.#at;
    while (this.#tokens[at]?.kind === "variable") {
      variables.push(this.#tokens[at]!.text);
      const sign = this.#tokens[at + 1]?.text;
      at += 2;
      if (sign === ",") continue;
      if (sign !== ":=" && sign !== "=") break;
      this.#at = at;
      return { variables, declares: sign === ":=" };
    }
    return { variables: [], declares: false };
  }

  #operand(): Term {
    const term = this.#term();
    const path: string[] = [];
    while (this.peek()?.kind === "field" && this.peek()!.glued)
      path.push(this.#tokens[this.#at++]!.text.slice(1));
    if (path.length === 0) return term;
    return term.kind === "fields"
      ? { kind: "fields", of: term.of, path: [...term.path, ...path] }
      : { kind: "fields", of: term, path };
  }

  #term(): Term {
    const token = this.#tokens[this.#at++]!;
    const { kind, text } = token;
    if (kind === "field") return { kind: "fields", of: { kind: "dot" }, path: [text.slice(1)] };
    if (kind === "variable") return { kind: "variable", name: text };
    if (kind === "string") return { kind: "literal", value: unquote(text) };
    if (kind === "number") return { kind: "literal", value: Number(text) };
    if (kind === "word") {
      if (text === "true" || text === "false") return { kind: "literal", value: text === "true" };
      return text === "nil" ? { kind: "nil" } : { kind: "function", name: text };
    }
    if (text === ".") return { kind: "dot" };
    if (text !== "(") throw new TemplateError(`unexpected ${JSON.stringify(text)} in operand`);
    const pipe = this.pipe();
    if (!this.#isSign(")")) throw new TemplateError("unclosed left paren");
    this.#at++;
    return { kind: "pipe", pipe };
  }
}
