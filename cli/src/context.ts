import type { Command } from "commander";
import { Exit, told } from "./error.ts";
import type { Global } from "./program.ts";
import { Client } from "./rest/client.ts";
import { resolveHost } from "./rest/host.ts";

/** What a command has at hand. */
export interface Context {
  /** The daemon that the options, the environment or the current context name. */
  readonly client: Client;
  /** The options before the command. */
  readonly global: Global;
  /** The whole command tree. */
  readonly program: Command;
  /** Changes are only planned: there is nothing to wait for. */
  readonly planning?: boolean;
  /** A line on standard output. */
  print(line: string): void;
  /** A line on standard error. */
  warn(line: string): void;
}

export function makeContext(global: Global, program: Command): Context {
  let client: Client | undefined;
  return {
    get client() {
      client ??= new Client(resolveHost(global));
      return client;
    },
    global,
    program,
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
      context.warn(told(error));
    }
  }
  if (failed) throw new Exit(1);
}
