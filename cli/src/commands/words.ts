import type { Command } from "commander";
import { invalid } from "../invalid.ts";
import type { Query } from "../rest/client.ts";
import { list } from "./options.ts";

/** Gives a command `--filter`; `keys` are those that it knows. */
export function filterOption(command: Command, keys: string, flags = "-f, --filter <filter>"): Command {
  return command.option(flags, `only those that match, as KEY=VALUE: ${keys}`, list);
}

/** `--filter key=value` words as the API's `filters` parameter. */
export function filters(words: string[] | undefined, more: Record<string, string[]> = {}): Query {
  const map: Record<string, string[]> = { ...more };
  for (const word of words ?? []) {
    const split = word.indexOf("=");
    if (split < 1)
      throw invalid(
        `invalid argument "${word}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
      );
    const key = word.slice(0, split).trim().toLowerCase();
    map[key] = [...(map[key] ?? []), word.slice(split + 1).trim()];
  }
  return Object.keys(map).length > 0 ? { filters: JSON.stringify(map) } : {};
}

/** `NAME=value` words as a map; a name alone has an empty value. */
export function pairs(words: string[] | undefined): Record<string, string> {
  return Object.fromEntries(
    (words ?? [])
      .map((word) => word.split(/=(.*)/s).slice(0, 2) as [string, string])
      .map(([k, v]) => [k, v ?? ""]),
  );
}

/** Environment words; a name alone takes this process's value, or nothing. */
export function environment(words: string[] | undefined): string[] | undefined {
  return words?.flatMap((word) => {
    if (word.includes("=")) return [word];
    const value = process.env[word];
    return value === undefined ? [] : [`${word}=${value}`];
  });
}

/** Lines of `NAME=value`, as `--env-file` and `--label-file` take them: blanks and `#` lines are left out. */
export function fileLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== "" && !line.trimStart().startsWith("#"));
}

/** Examples, below the options of a command's help; a command is `creel plan`'s too where it stands below that. */
export function examples(command: Command, ...lines: string[]): Command {
  const planned = [command.parent, command.parent?.parent].some((above) => above?.name() === "plan");
  const shown = lines.map((line) => `  ${planned ? line.replace(/^creel /, "creel plan ") : line}`);
  return command.addHelpText("after", `\nExamples:\n${shown.join("\n")}`);
}

/** A path of the API with a name in it. */
export function at(kind: string, name: string, ...rest: string[]): string {
  return [`/${kind}`, encodeURIComponent(name), ...rest].join("/");
}
