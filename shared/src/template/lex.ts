import { TemplateError } from "./error.ts";

/** A piece of an action. `glued`: nothing stands between it and what is before. */
export interface Token {
  kind: "field" | "variable" | "word" | "string" | "number" | "sign";
  text: string;
  glued: boolean;
}

/** A template is text and actions in turn. */
export type Piece = { text: string } | { action: Token[] };

/** Takes a template apart; `{{-` and `-}}` have eaten the blanks beside them, comments are gone. */
export function pieces(source: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  let trimNext = false;
  const push = (text: string) => {
    const kept = trimNext ? text.trimStart() : text;
    trimNext = false;
    if (kept !== "") found.push({ text: kept });
  };
  for (;;) {
    const open = source.indexOf("{{", at);
    if (open < 0) {
      push(source.slice(at));
      return found;
    }
    const trims = /^-\s/.test(source.slice(open + 2, open + 4));
    const before = source.slice(at, open);
    push(trims ? before.trimEnd() : before);
    const inside = open + (trims ? 3 : 2);
    const comment = /^\s*\/\*[\s\S]*?\*\/\s*(-?)\}\}/.exec(source.slice(inside));
    if (comment !== null) {
      trimNext = comment[1] === "-";
      at = inside + comment[0].length;
      continue;
    }
    const { tokens, end, trim } = action(source, inside);
    found.push({ action: tokens });
    trimNext = trim;
    at = end;
  }
}

const FORMS: [Token["kind"], RegExp][] = [
  ["string", /"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)'/y],
  ["number", /[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)/y],
  ["field", /\.[\p{L}_][\p{L}\p{N}_]*/uy],
  ["variable", /\$[\p{L}\p{N}_]*/uy],
  ["word", /[\p{L}_][\p{L}\p{N}_]*/uy],
  ["sign", /:=|[|()=,.]/y],
];

function action(source: string, from: number): { tokens: Token[]; end: number; trim: boolean } {
  const tokens: Token[] = [];
  let at = from;
  let glued = false;
  for (;;) {
    const blank = /\s*/y;
    blank.lastIndex = at;
    const skipped = blank.exec(source)![0].length;
    at += skipped;
    if (skipped > 0) glued = false;
    if (source.startsWith("}}", at)) return { tokens, end: at + 2, trim: false };
    if (skipped > 0 && source.startsWith("-}}", at)) return { tokens, end: at + 3, trim: true };
    if (at >= source.length) throw new TemplateError("unclosed action");
    const token = next(source, at);
    if (token === undefined) throw new TemplateError(`unexpected ${JSON.stringify(source[at])} in command`);
    tokens.push({ ...token, glued });
    at += token.text.length;
    glued = true;
  }
}

function next(source: string, at: number): Pick<Token, "kind" | "text"> | undefined {
  for (const [kind, form] of FORMS) {
    form.lastIndex = at;
    const match = form.exec(source);
    if (match !== null) return { kind, text: match[0] };
  }
  if (source[at] === '"') throw new TemplateError("unterminated quoted string");
  return undefined;
}

/** What a string token says. */
export function unquote(text: string): string | number {
  if (text.startsWith("`")) return text.slice(1, -1);
  const plain = text
    .slice(1, -1)
    .replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g, (_, code: string) =>
      code.length > 1
        ? String.fromCodePoint(Number.parseInt(code.slice(1), 16))
        : ({ n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" }[code] ?? code),
    );
  return text.startsWith("'") ? plain.codePointAt(0)! : plain;
}
