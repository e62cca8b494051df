import type { Command } from "commander";
import { terminalWidth } from "./style.ts";
import { cut, table } from "./table.ts";

/** What a listing can be asked for. */
export interface ListOptions {
  quiet?: boolean;
  format?: string;
  trunc?: boolean;
}

/** How items of one kind are listed: Docker's placeholders, its headings, and the columns without `--format`. */
export interface View<T> {
  /** Placeholder → value; a function is called with what the template gives it. */
  fields: Record<string, (item: T) => unknown>;
  headings: Record<string, string>;
  columns: string[];
  /** What `--quiet` shows (default: ID). */
  quiet?: string;
  /** Columns that keep their width (default: those of ids and states). */
  rigid?: string[];
}

/** Gives a command the options of a listing. */
export function listOptions(command: Command, o: { trunc?: boolean; quiet?: string } = {}): Command {
  command
    .option("-q, --quiet", o.quiet ?? "only ids")
    .option("--format <format>", "table, table TEMPLATE, json, or a Go template for each");
  return o.trunc === false ? command : command.option("--no-trunc", "whole ids and texts, nothing cut");
}

/** The items as text: a table, JSON a line each, or what a Go template makes of each. */
export async function listing<T>(items: T[], view: View<T>, o: ListOptions): Promise<string[]> {
  const format = o.format?.trim() ?? "";
  if (format === "" || format === "table") {
    if (o.quiet) return items.map((item) => String(view.fields[view.quiet ?? "ID"]!(item)));
    const head = view.columns.map((name) => view.headings[name]!);
    const rows = items.map((item) => view.columns.map((name) => flat(view.fields[name]!(item))));
    return fitted([head, ...rows], view, o, (i) => view.columns[i]!);
  }
  const data = items.map((item) => fieldsOf(view, item));
  const { json, template } = await import("@creel/shared/template");
  if (format === "json") return data.map((each) => json(each));
  const isTable = /^table\s/.test(format);
  const source = (isTable ? format.slice("table".length).trim() : format)
    .replaceAll("\\t", "\t")
    .replaceAll("\\n", "\n");
  const render = template(source);
  if (!isTable) return data.map(render);
  const head = render(headingsOf(view));
  const rows = [head, ...data.map(render)].map((line) => line.split("\t").map(flat));
  return fitted(rows, view, o, (i) => nameOf(view, rows[0]![i]));
}

/** One thing by a template (or `json`), without a table: `info`, `version`. */
export async function one(data: unknown, format: string): Promise<string> {
  const { json, template } = await import("@creel/shared/template");
  return format === "json" ? json(data) : template(format)(data);
}

function fitted<T>(
  rows: string[][],
  view: View<T>,
  o: ListOptions,
  nameAt: (column: number) => string | undefined,
): string[] {
  const rigid = new Set(view.rigid ?? ["ID", "Status", "State", "Replicas", "Size"]);
  const width = o.trunc === false ? undefined : terminalWidth();
  const columns = Math.max(...rows.map((row) => row.length));
  const even = rows.map((row) => [...row, ...Array<string>(columns - row.length).fill("")]);
  return table(even, {
    ...(width !== undefined && { width }),
    flexible: (i) => !rigid.has(nameAt(i) ?? ""),
  }).split("\n");
}

function nameOf<T>(view: View<T>, heading: string | undefined): string | undefined {
  return Object.keys(view.headings).find((name) => view.headings[name] === heading?.trim());
}

function fieldsOf<T>(view: View<T>, item: T): Record<string, unknown> {
  const data: Record<string, unknown> = {};
  for (const name of Object.keys(view.fields).sort()) {
    Object.defineProperty(data, name, { enumerable: true, get: () => view.fields[name]!(item) });
  }
  return data;
}

/** For the heading of a table each placeholder is its own heading; one that takes an argument shows that. */
function headingsOf<T>(view: View<T>): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(view.fields).map((name) => [
      name,
      name === "Label" ? (label: string) => label : (view.headings[name] ?? spaced(name).toUpperCase()),
    ]),
  );
}

function spaced(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1 $2");
}

/** A cell holds one line. */
function flat(value: unknown): string {
  return String(value ?? "").replace(/\s*\n\s*/g, " ");
}

/** At most `length` characters, unless nothing is to be cut. */
export function shorten(text: string, length: number, o: ListOptions): string {
  return o.trunc === false ? text : cut(text, length);
}

/** Labels as listings show them, and one of them. */
export function labelFields<T>(
  labels: (item: T) => Record<string, string> | null | undefined,
): View<T>["fields"] {
  return {
    Labels: (item) =>
      Object.entries(labels(item) ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .join(","),
    Label: (item) => (name: string) => labels(item)?.[name] ?? "",
  };
}
