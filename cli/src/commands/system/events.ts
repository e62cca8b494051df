import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { one } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { jsonLines } from "../../rest/client.ts";
import { time } from "../container/logs.ts";
import { examples, filterOption, filters } from "../words.ts";

interface Event {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope?: string;
  time: number;
  timeNano: number;
}
interface Options {
  since?: string;
  until?: string;
  format?: string;
  filter?: string[];
}

/** `creel events` */
export function events(command: Command, bind: Bind): void {
  filterOption(command, "type, event, container, image, network, node, service, volume, label")
    .option("--since <time>", "also what happened from then on: a time, or a duration back (10m)")
    .option("--until <time>", "until then")
    .option("--format <format>", "json, or a Go template for each")
    .action(bind(run));
  examples(
    command,
    "creel events --since 10m --filter type=container",
    "creel events --format '{{.Type}} {{.Action}} {{.Actor.ID}}'",
  );
}

async function run({ client, print }: Context, o: Options): Promise<void> {
  const query = { since: time(o.since), until: time(o.until), ...filters(o.filter) };
  for await (const event of jsonLines<Event>(await client.stream("GET", "/events", query))) {
    print(
      o.format === undefined ? line(event) : await one(o.format === "json" ? event : fields(event), o.format),
    );
  }
}

/** Docker's names in templates, beside those of the JSON. */
function fields(event: Event): object {
  return {
    ...event,
    ID: event.Actor.ID,
    Status: event.Action,
    Time: event.time,
    TimeNano: event.timeNano,
    Scope: event.scope ?? "local",
  };
}

function line(event: Event): string {
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
  const at = new Date(event.timeNano / 1e6).toISOString();
  return `${at} ${event.Type} ${event.Action} ${event.Actor.ID}${attributes && ` (${attributes})`}`;
}
