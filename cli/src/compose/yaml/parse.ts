import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type YAMLMap,
  type Scalar as YamlScalar,
} from "yaml";
import type { Place, Problems } from "../problems.ts";
import type { Dict, Entry, Node, Tag } from "./node.ts";

const MAX_BYTES = 4 << 20;
/** Nodes once all aliases are written out: a few lines can stand for billions. */
const MAX_NODES = 200_000;
const MAX_DEPTH = 64;
const TAGS = ["!reset", "!override"];

/** Reads YAML; undefined when it cannot be read, which `problems` then says. */
export function parseYaml(file: string, text: string, problems: Problems): Node | undefined {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    problems.add({ file, line: 1, column: 1 }, "", `larger than ${MAX_BYTES >> 20} MiB`);
    return undefined;
  }
  const lines = new LineCounter();
  const customTags = TAGS.flatMap((tag) => [
    { tag, collection: "map" as const },
    { tag, collection: "seq" as const },
    { tag, resolve: (source: string) => (source === "null" ? null : source) },
  ]);
  const tooDeep = () =>
    problems.add({ file, line: 1, column: 1 }, "", `nested deeper than ${MAX_DEPTH} levels`);
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      customTags,
      prettyErrors: false,
      logLevel: "silent",
    });
  } catch (error) {
    if (error instanceof RangeError) return tooDeep();
    throw error;
  }
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (document.errors.some(({ message }) => message.startsWith("Maximum call stack"))) return tooDeep();
  for (const { pos, message, code } of document.errors)
    problems.add(at(pos[0]), "", `not YAML: ${message}`, code === "TAB_AS_INDENT" ? "indent by blanks" : "");
  if (document.errors.length > 0) return undefined;
  try {
    return new Converter(document, at).node(document.contents, 0);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    problems.add(error.place, "", error.message, error.hint);
    return undefined;
  }
}

class Unreadable extends Error {
  readonly place: Place;
  readonly hint: string;
  constructor(place: Place, message: string, hint = "") {
    super(message);
    this.place = place;
    this.hint = hint;
  }
}

/** What each alias stands for: the anchor of its name that was the last before it. */
function aliasTargets(document: Document.Parsed): Map<Alias, unknown> {
  const anchors = new Map<string, unknown>();
  const targets = new Map<Alias, unknown>();
  visit(document, (_, node) => {
    if (isAlias(node)) targets.set(node, anchors.get(node.source));
    else if (isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, node);
  });
  return targets;
}

/** YAML's own tree as ours: aliases written out, `<<` merged in, bounded. */
class Converter {
  readonly #targets: ReadonlyMap<Alias, unknown>;
  readonly #at: (offset: number) => Place;
  readonly #open = new Set<Alias["source"]>();
  #count = 0;

  constructor(document: Document.Parsed, at: (offset: number) => Place) {
    this.#targets = aliasTargets(document);
    this.#at = at;
  }

  node(node: unknown, depth: number): Node {
    const place = this.#at((node as { range?: [number, number, number] } | null)?.range?.[0] ?? 0);
    if (++this.#count > MAX_NODES)
      throw new Unreadable(place, `more than ${MAX_NODES} values once its aliases are written out`);
    if (depth > MAX_DEPTH) throw new Unreadable(place, `nested deeper than ${MAX_DEPTH} levels`);
    if (isAlias(node)) return this.#alias(node, place, depth);
    const tag = tagOf(node);
    const marked = tag && { tag };
    if (isMap(node)) return { ...this.#dict(node, place, depth), ...marked };
    if (isSeq(node))
      return {
        kind: "list",
        at: place,
        items: node.items.map((item) => this.node(item, depth + 1)),
        ...marked,
      };
    if (isScalar(node)) return { ...scalar(node, place), ...marked };
    return { kind: "scalar", value: null, source: "", at: place };
  }

  #alias(alias: Alias, place: Place, depth: number): Node {
    const target = this.#targets.get(alias);
    if (target === undefined)
      throw new Unreadable(place, `no anchor &${alias.source} stands before this alias`);
    if (this.#open.has(alias.source)) throw new Unreadable(place, `the anchor &${alias.source} holds itself`);
    this.#open.add(alias.source);
    const node = this.node(target, depth + 1);
    this.#open.delete(alias.source);
    return node;
  }

  #dict(map: YAMLMap, place: Place, depth: number): Dict {
    const entries = new Map<string, Entry>();
    const merged: Dict[] = [];
    for (const { key, value } of map.items) {
      const at = this.#at((key as { range?: [number] } | null)?.range?.[0] ?? 0);
      if (!isScalar(key) || key.value === null) throw new Unreadable(at, "a key must be a word");
      const node = this.node(value, depth + 1);
      if (key.value === "<<") merged.push(...mergeSources(node));
      else entries.set(String(key.value), { at, node });
    }
    for (const source of merged)
      for (const [key, entry] of source.entries) if (!entries.has(key)) entries.set(key, entry);
    return { kind: "dict", entries, at: place };
  }
}

function mergeSources(node: Node): Dict[] {
  const sources = node.kind === "list" ? node.items : [node];
  return sources.map((source) => {
    if (source.kind === "dict") return source;
    throw new Unreadable(node.at, "<< takes a mapping, or a list of them", "an alias as *name, most often");
  });
}

function tagOf(node: unknown): Tag | undefined {
  const tag = (node as { tag?: string } | null)?.tag;
  return tag === "!reset" ? "reset" : tag === "!override" ? "override" : undefined;
}

function scalar(node: YamlScalar, at: Place): Node {
  const { value } = node;
  const source = node.source ?? String(value ?? "");
  // 0440 is octal to all who write file modes, though YAML 1.2 says otherwise
  if (node.type === "PLAIN" && /^0[0-7]+$/.test(source))
    return { kind: "scalar", value: Number.parseInt(source, 8), source, at };
  const known = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return { kind: "scalar", value: known ? value : value === null ? null : source, source, at };
}
