import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { table } from "../../output/table.ts";
import type { Bind } from "../../program.ts";
import { at, examples } from "../words.ts";

interface Processes {
  Titles: string[];
  Processes: string[][] | null;
}

/** `creel top` */
export function top(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .argument("[ps-options...]", "what ps is given (default: -ef)")
    .passThroughOptions()
    .action(
      bind(async ({ client, print }: Context, name: string, options: string[]) => {
        const query = options.length > 0 ? { ps_args: options.join(" ") } : {};
        const found = await client.get<Processes>(at("containers", name, "top"), query);
        print(table([found.Titles, ...(found.Processes ?? [])]));
      }),
    );
  examples(command, "creel top web", "creel top web -o pid,rss,args");
}
