import { Client, type Query } from "./rest/client.ts";
import { resolveHost } from "./rest/host.ts";

/** What a command has at hand. */
export interface Context {
  client: Client;
  /** A line on standard output. */
  print(line: string): void;
  /** A line on standard error. */
  warn(line: string): void;
}

/** A command ends with this exit status and nothing more to say. */
export class Exit extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit status ${status}`);
    this.status = status;
  }
}

export function makeContext(hostOption: string | undefined): Context {
  return {
    client: new Client(resolveHost(hostOption)),
    print: (line) => void process.stdout.write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
  };
}

/** Does `work` for each name; what fails is said and makes the exit status 1, the others go on. */
export async function each(
  context: Context,
  names: string[],
  work: (name: string) => Promise<string | undefined>,
): Promise<void> {
  let failed = false;
  for (const name of names) {
    try {
      const line = await work(name);
      if (line !== undefined) context.print(line);
    } catch (error) {
      failed = true;
      context.warn(`Error response from daemon: ${(error as Error).message}`);
    }
  }
  if (failed) throw new Exit(1);
}

/** `--filter key=value` words as the API's `filters` parameter. */
export function filters(words: string[] | undefined): Query {
  if (words === undefined || words.length === 0) return {};
  const map: Record<string, string[]> = {};
  for (const word of words) {
    const split = word.indexOf("=");
    if (split < 1)
      throw new Error(
        `invalid argument "${word}" for "-f, --filter": bad format of filter (expected name=value)`,
      );
    const key = word.slice(0, split);
    map[key] = [...(map[key] ?? []), word.slice(split + 1)];
  }
  return { filters: JSON.stringify(map) };
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
