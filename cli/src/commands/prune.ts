import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { invalid } from "../invalid.ts";
import { bytes } from "../output/words.ts";
import type { Bind } from "../program.ts";
import { examples, filterOption, filters } from "./words.ts";

interface Prune {
  path: string;
  warning: string;
  filters: string;
  removed(reply: Record<string, unknown>): string[];
  /** Filters that stand for `--all`. */
  all?: Record<string, string[]>;
}

/** A command that removes what is not used, after it has asked. */
export function pruned(command: Command, bind: Bind, it: Prune): void {
  filterOption(command, it.filters, "--filter <filter>").option("-f, --force", "do not ask");
  if (it.all) command.option("-a, --all", "all that is not used, not only what has no name");
  command.action(
    bind(async ({ client, print }: Context, o: { force?: boolean; all?: boolean; filter?: string[] }) => {
      if (!o.force && !(await confirmed(it.warning))) return;
      const query = filters(o.filter, o.all ? it.all : {});
      const reply = await client.post<Record<string, unknown>>(it.path, query);
      for (const name of it.removed(reply)) print(name);
      if (typeof reply.SpaceReclaimed === "number")
        print(`Total reclaimed space: ${bytes(reply.SpaceReclaimed)}`);
    }),
  );
  examples(command, `creel ${command.parent!.name()} prune -f`);
}

/** Asks whether to go on; without a terminal there is nobody to answer. */
export async function confirmed(warning: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw invalid(`${warning} Nobody is there to confirm that: use --force`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${warning} Go on? [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}
