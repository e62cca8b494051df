import type { Command } from "commander";
import type { Context } from "../context.ts";
import { Exit } from "../error.ts";
import { invalid } from "../invalid.ts";
import { pretty } from "./pretty.ts";

export interface InspectOptions {
  format?: string;
  pretty?: boolean;
}

/** Gives a command the options of `inspect`. */
export function inspectOptions(command: Command): Command {
  return command
    .option("-f, --format <format>", "json, or a Go template over the JSON's own names")
    .option("--pretty", "lines for people, without what is empty");
}

/** Shows what was found of each name; those that were not found are said after that, and make the exit status 1. */
export async function inspectEach(
  { print, warn }: Context,
  names: string[],
  o: InspectOptions,
  find: (name: string) => Promise<unknown>,
): Promise<void> {
  if (o.pretty && o.format !== undefined) throw invalid("--format and --pretty are two ways: give one");
  const { json, template } = await import("@creel/shared/template");
  const render = o.format === undefined || o.format === "json" ? undefined : template(o.format);
  const found: unknown[] = [];
  const errors: string[] = [];
  for (const name of names) {
    try {
      found.push(await find(name));
    } catch (error) {
      errors.push((error as Error).message);
    }
  }
  if (o.pretty) print(found.map((each) => pretty(each as object).join("\n")).join("\n\n"));
  else if (render !== undefined) for (const each of found) print(render(each));
  else print(o.format === "json" ? json(found) : JSON.stringify(found, undefined, 4));
  for (const error of errors) warn(`Error: ${error}`);
  if (errors.length > 0) throw new Exit(1);
}
