import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { span } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples } from "../words.ts";

/** The chain of causes as the API has it. */
export interface Why {
  Kind: string;
  Name: string;
  Now: string;
  Summary: string;
  /** Why a service will not come to be as wanted by itself. */
  Stuck?: string;
  Causes: { Code: string; At?: string; Until?: string; Text: string; Tasks?: string[]; Count?: number }[];
}

interface Options {
  json?: boolean;
}

export const service = (command: Command, bind: Bind) =>
  why(command, bind, "service", ["creel why service web", "creel why service --json web"]);
export const task = (command: Command, bind: Bind) =>
  why(command, bind, "task", ["creel why task web.3", "creel why task --json 3tfrlfqgqbyx"]);
export const node = (command: Command, bind: Bind) =>
  why(command, bind, "node", ["creel why node node2", "creel why node self"]);

function why(command: Command, bind: Bind, kind: string, lines: string[]): void {
  command
    .argument(`<${kind}>`)
    .option("--json", "the causes as JSON")
    .action(
      bind(async ({ client, print }: Context, name: string, o: Options) => {
        const told = await client.get<Why>("/creel/why", { [kind]: name });
        if (o.json) print(JSON.stringify(told, undefined, 2));
        else for (const line of whyLines(told)) print(line);
      }),
    );
  examples(command, ...lines);
}

/** The causes for people, the newest first, each with how long ago it was. */
export function whyLines({ Now, Summary, Causes }: Why): string[] {
  const now = Date.parse(Now);
  const rows = Causes.map((cause) => {
    const at = cause.At === undefined ? "" : `${span(now - Date.parse(cause.At)).toLowerCase()} ago`;
    const until =
      cause.Until === undefined ? "" : ` (${span(Date.parse(cause.Until) - now).toLowerCase()} more)`;
    return [at, `${whose(cause.Tasks, cause.Count)}${cause.Text}${until}`] as const;
  });
  const width = Math.max(0, ...rows.map(([at]) => at.length));
  return [Summary, ...rows.map(([at, text]) => `  ${at.padEnd(width)}  ${text}`)];
}

function whose(tasks: string[] = [], count = 0): string {
  if (tasks.length === 0) return "";
  const more = count - tasks.length;
  return `${tasks.join(", ")}${more > 0 ? ` and ${more} more` : ""}: `;
}
