import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { DaemonError, Exit } from "../../error.ts";
import { type ListOptions, listing } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { at, examples } from "../words.ts";
import { type Sample, type Used, use, view } from "./usage.ts";

const INTERVAL_MS = 1000;
/** So many containers are asked at a time. */
const AT_ONCE = 50;

interface StatsOptions extends ListOptions {
  all?: boolean;
  stream: boolean;
}

/** `creel stats` */
export function stats(command: Command, bind: Bind): void {
  command
    .argument("[container...]")
    .option("--format <format>", "table, table TEMPLATE, json, or a Go template for each")
    .option("--no-trunc", "whole ids, nothing cut")
    .option("-a, --all", "also those that do not run")
    .option("--no-stream", "once, not each second")
    .action(bind(run));
  examples(
    command,
    "creel stats",
    "creel stats --no-stream web db",
    "creel stats --no-stream --format '{{.Name}}: {{.CPUPerc}} {{.MemUsage}}'",
  );
}

async function run(context: Context, names: string[], o: StatsOptions): Promise<void> {
  const inPlace = Boolean(process.stdout.isTTY) && o.stream;
  const before = new Map<string, Sample>();
  for (;;) {
    const begun = Date.now();
    const wanted = names.length > 0 ? names : await running(context, o.all ?? false);
    const found: Used[] = [];
    for (let i = 0; i < wanted.length; i += AT_ONCE) {
      const some = wanted.slice(i, i + AT_ONCE).map((name) => sample(context, name, o.stream, before));
      found.push(...(await Promise.all(some)).filter((each) => each !== undefined));
    }
    if (names.length > 0 && found.length === 0) throw new Exit(1);
    const lines = await listing(found, view(o), o);
    // each line is cleared behind its end, and what was below the last one
    const shown = inPlace
      ? `\x1b[H${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`
      : `${lines.join("\n")}\n`;
    if (lines.length > 0) process.stdout.write(shown);
    if (!o.stream) break;
    await delay(Math.max(0, begun + INTERVAL_MS - Date.now()));
  }
}

async function running({ client }: Context, all: boolean): Promise<string[]> {
  return (await client.get<{ Id: string }[]>("/containers/json", { all })).map(({ Id }) => Id);
}

/** One container's figures; undefined if there is no such container (any more), which is said where it was named. */
async function sample(
  { client, warn }: Context,
  name: string,
  stream: boolean,
  before: Map<string, Sample>,
): Promise<Used | undefined> {
  try {
    // without a sample before, the daemon takes two
    const earlier = before.get(name);
    const query = { stream: false, "one-shot": stream && earlier !== undefined };
    const now = await client.get<Sample>(at("containers", name, "stats"), query);
    before.set(name, now);
    return use(name, now, earlier?.cpu_stats ?? now.precpu_stats);
  } catch (error) {
    if (!(error instanceof DaemonError) || error.status !== 404) throw error;
    if (!before.delete(name)) warn(`Error response from daemon: ${error.message}`);
    return undefined;
  }
}
