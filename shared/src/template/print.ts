/** The widest that a value is padded to. */
export const MAX_WIDTH = 10_000;

/** A value as Go's `%v` prints it: lists in brackets, maps as `map[key:value]`, sorted. */
export function show(value: unknown): string {
  return value === null || value === undefined ? "<no value>" : inner(value);
}

function inner(value: unknown): string {
  if (value instanceof Map) return inner(Object.fromEntries(value));
  if (value === null || value === undefined) return "<nil>";
  if (Array.isArray(value)) return `[${value.map(inner).join(" ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).filter(([, each]) => typeof each !== "function");
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, each]) => `${key}:${inner(each)}`).join(" ")}]`;
  }
  if (typeof value === "number" && Math.abs(value) >= 1e21)
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  return String(value);
}

/** JSON as Go writes it for templates: keys of a listing's item in order, no functions. */
export function json(value: unknown): string {
  return JSON.stringify(value instanceof Map ? Object.fromEntries(value) : (value ?? null));
}

/** Go's `printf` for the verbs that make sense for what JSON can hold. */
export function format(pattern: string, args: unknown[]): string {
  let used = 0;
  const text = pattern.replace(
    /%([-+ 0#]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])/g,
    (_, flags, width, precision, verb) => {
      if (verb === "%") return "%";
      if (used >= args.length) return `%!${verb}(MISSING)`;
      return pad(one(verb, args[used++], flags, precision), flags, Math.min(MAX_WIDTH, Number(width ?? 0)));
    },
  );
  if (used >= args.length) return text;
  return `${text}%!(EXTRA ${args
    .slice(used)
    .map((arg) => `${typeOf(arg)}=${inner(arg)}`)
    .join(", ")})`;
}

function one(verb: string, value: unknown, flags: string, precision: string | undefined): string {
  const wrong = () => `%!${verb}(${typeOf(value)}=${inner(value)})`;
  const cut = (text: string) =>
    precision === undefined ? text : [...text].slice(0, Number(precision)).join("");
  switch (verb) {
    case "v":
      return show(value);
    case "s":
      return typeof value === "number" || typeof value === "boolean" ? wrong() : cut(show(value));
    case "q":
      return typeof value === "string" ? JSON.stringify(value) : wrong();
    case "t":
      return typeof value === "boolean" ? String(value) : wrong();
    case "T":
      return typeOf(value);
  }
  if (verb === "x" && typeof value === "string") return Buffer.from(value).toString("hex");
  if (typeof value !== "number") return wrong();
  const sign = flags.includes("+") && value >= 0 ? "+" : "";
  switch (verb) {
    case "d":
      return Number.isInteger(value) ? `${sign}${value}` : wrong();
    case "f":
    case "F":
      return `${sign}${value.toFixed(Number(precision ?? 6))}`;
    case "e":
      return sign + value.toExponential(Number(precision ?? 6)).replace(/e([+-])(\d)$/, "e$10$2");
    case "g":
      return sign + String(value);
    case "x":
      return value.toString(16);
    case "X":
      return value.toString(16).toUpperCase();
    case "o":
      return value.toString(8);
    case "b":
      return value.toString(2);
    case "c":
      return String.fromCodePoint(value);
    default:
      return wrong();
  }
}

function pad(text: string, flags: string, width: number): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0") || !/^[-+]?\d/.test(text)) return text.padStart(width);
  const sign = /^[-+]/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return "<nil>";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float64";
  if (typeof value === "boolean") return "bool";
  if (Array.isArray(value)) return "[]interface {}";
  return typeof value === "object" ? "map[string]interface {}" : "string";
}
