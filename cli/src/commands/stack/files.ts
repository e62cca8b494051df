import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { type Loaded, loadStack, projectName } from "../../compose/load.ts";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";

const USUAL = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/** How a command is told which files a stack is made of. */
export interface FileOptions {
  file?: string[];
  profile?: string[];
  raw?: boolean;
}

/** Collects file names, which may be given one by one or with commas between. */
export function files(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...value.split(",").filter((path) => path !== "")];
}

/** Reads the stack's files, and says what is worth a word. */
export function load(context: Context, o: FileOptions): Loaded {
  const paths = o.file ?? fromEnvironment() ?? usual(process.cwd()).map((path) => relative("", path));
  const profiles = [...(o.profile ?? []), ...(process.env.COMPOSE_PROFILES ?? "").split(",")].filter(Boolean);
  const stack = loadStack(
    paths,
    {
      // 0 is standard input
      read: (path) => readFileSync(path === "-" ? 0 : path),
      env: process.env,
      folder: process.cwd(),
    },
    { profiles, ...(o.raw && { raw: true }) },
  );
  for (const note of stack.notes) context.warn(note);
  return stack;
}

/** The name that is given, or that the environment, the file or its folder have. */
export function nameOf(stack: Loaded, given: string | undefined): string {
  const name = given ?? process.env.COMPOSE_PROJECT_NAME ?? projectName(stack);
  return checkedName(name);
}

/** A stack's name begins those of all its parts. */
export function checkedName(name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/.test(name)) return name;
  throw invalid(`invalid stack name "${name}": letters, digits, dots, dashes and underscores, at most 63`);
}

function fromEnvironment(): string[] | undefined {
  const given = process.env.COMPOSE_FILE;
  return given ? given.split(process.env.COMPOSE_PATH_SEPARATOR ?? ":") : undefined;
}

/** The compose file of a folder or the nearest one above it, with the override file beside it. */
function usual(folder: string): string[] {
  const found = USUAL.map((name) => join(folder, name)).find(existsSync);
  if (found !== undefined) {
    const over = found.replace(/(\.ya?ml)$/, ".override$1");
    return existsSync(over) ? [found, over] : [found];
  }
  if (dirname(folder) === resolve(folder))
    throw invalid(`there is no ${USUAL[0]} here or above: name the files with -f`);
  return usual(dirname(folder));
}
