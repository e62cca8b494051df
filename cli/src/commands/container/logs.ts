import type { Command } from "commander";
import type { Context } from "../../context.ts";
import type { Bind } from "../../program.ts";
import { demultiplex, write } from "../../rest/frames.ts";
import { at, examples } from "../words.ts";

/** What logs can be asked for. */
export interface LogOptions {
  follow?: boolean;
  timestamps?: boolean;
  details?: boolean;
  tail: string;
  since?: string;
  until?: string;
}

/** Gives a command the options that logs of containers and of services share. */
export function logOptions(command: Command): Command {
  return command
    .option("-f, --follow", "go on as more is written")
    .option("-t, --timestamps", "with the time of each line")
    .option("-n, --tail <lines>", "only the last lines", "all")
    .option("--since <time>", "only what was written from then on: a time, or a duration back (10m)")
    .option("--details", "with the attributes the log driver was given");
}

/** The API's parameters for them. */
export function logQuery(o: LogOptions) {
  return {
    stdout: true,
    stderr: true,
    follow: o.follow,
    timestamps: o.timestamps,
    details: o.details,
    tail: o.tail,
    since: time(o.since),
    until: time(o.until),
  };
}

/** A duration back from now as the time it means; a time as it is. */
export function time(text: string | undefined, now = Date.now()): string | undefined {
  if (text === undefined || !/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return text;
  const seconds = { ms: 0.001, s: 1, m: 60, h: 3600 };
  let back = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    back += Number(value) * seconds[unit as keyof typeof seconds];
  return (now / 1000 - back).toFixed(9);
}

export function logs(command: Command, bind: Bind): void {
  logOptions(command.argument("<container>"))
    .option("--until <time>", "only what was written until then")
    .action(
      bind(async ({ client }: Context, name: string, o: LogOptions) => {
        const { Config } = await client.get<{ Config: { Tty: boolean } }>(at("containers", name, "json"));
        const stream = await client.stream("GET", at("containers", name, "logs"), logQuery(o));
        if (!Config.Tty) return demultiplex(stream, process.stdout, process.stderr);
        for await (const chunk of stream) await write(process.stdout, chunk as Buffer);
      }),
    );
  examples(command, "creel logs -f --tail 20 web", "creel logs --since 10m -t web");
}
