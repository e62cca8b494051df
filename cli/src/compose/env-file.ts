import type { Problems } from "./problems.ts";
import { expand, type Lookup } from "./variables.ts";

/**
 * Reads lines of `NAME=value`: blank lines and `#` comments are left out, quotes taken off; in single quotes nothing is
 * changed, else variables of `lookup` and of the lines before are put in. A name alone has no value.
 */
export function parseEnvFile(
  file: string,
  text: string,
  lookup: Lookup,
  problems: Problems,
): Map<string, string | null> {
  const found = new Map<string, string | null>();
  const known: Lookup = (name) => lookup(name) ?? found.get(name) ?? undefined;
  for (const [i, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim().replace(/^export\s+/, "");
    if (line === "" || line.startsWith("#")) continue;
    const [, name = "", rest] = /^([^=]*?)\s*(?:=\s*([\s\S]*))?$/.exec(line)!;
    const place = { file, line: i + 1, column: 1 };
    if (!/^[^\s"']+$/.test(name)) {
      problems.add(place, "", `"${line}" is not NAME=value`, "a name holds no blanks and no quotes");
      continue;
    }
    if (rest === undefined) {
      found.set(name, null);
      continue;
    }
    const value = unquoted(rest, known);
    if (typeof value === "string") found.set(name, value);
    else problems.add(place, name, value.why);
  }
  return found;
}

function unquoted(text: string, lookup: Lookup): string | { why: string } {
  const [quote] = text;
  if (quote !== "'" && quote !== '"') return filled(text.replace(/\s+#.*$/, "").trim(), lookup);
  const quoted = (quote === "'" ? /^'([^']*)'/ : /^"((?:[^"\\]|\\.)*)"/).exec(text);
  if (quoted === null) return { why: `a ${quote} is not closed` };
  const after = text.slice(quoted[0].length).trim();
  if (after !== "" && !after.startsWith("#")) return { why: `"${after}" follows the closing ${quote}` };
  if (quote === "'") return quoted[1]!;
  const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
  return filled(
    quoted[1]!.replace(
      /\\([\s\S])/g,
      (whole, sign: string) => escapes[sign] ?? (sign === "$" ? "$$" : sign) ?? whole,
    ),
    lookup,
  );
}

function filled(text: string, lookup: Lookup): string | { why: string } {
  const value = expand(text, lookup, () => {});
  if (typeof value === "string") return value;
  return {
    why:
      value.required === undefined
        ? `invalid value${value.why}`
        : `${value.required} has no value${value.why}`,
  };
}
