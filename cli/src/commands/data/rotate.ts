import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import { Block } from "../../output/block.ts";
import { span } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { duration } from "../options.ts";
import { at, examples } from "../words.ts";
import { type DataKind, valueFrom } from "./kinds.ts";

const POLL_MS = 200;
const GIVE_UP_MS = 5 * 60_000;
const INTERRUPTED = 130;

interface Options {
  from: string;
  detach?: boolean;
  quiet?: boolean;
  timeout?: number;
}

interface Rotation {
  Name: string;
  Revision: number;
  From?: number;
  To?: number;
  State: string;
  Message?: string;
  Services: {
    Name: string;
    Revision: number;
    UpdateState?: string;
    UpdatedTasks: number;
    DesiredTasks: number;
  }[];
}

export const rotate = (kind: DataKind) => (command: Command, bind: Bind) => {
  command
    .argument(`<${kind}>`)
    .requiredOption("--from <file>", "where the new value is; - for standard input")
    .option("-d, --detach", "do not wait until its services have it")
    .option("-q, --quiet", "no progress")
    .option("--timeout <duration>", "wait no longer than so (default: 5m); the rotation goes on", duration)
    .action(
      bind(async (context: Context, name: string, o: Options) => {
        const data = { Data: await valueFrom(o.from) };
        const path = at(`creel/${kind}s`, name);
        const begun = await context.client.post<Rotation>(`${path}/rotate`, undefined, data);
        if (!o.detach) await follow(context, `${path}/rotation`, kind, begun, o);
      }),
    );
  examples(
    command,
    `creel ${kind} rotate db-password --from new-password.txt`,
    `pwgen 32 1 | creel ${kind} rotate db-password --from -`,
  );
};

/** Shows how services come to the new value; exit status 1 with the cause when they went back to the old one. */
async function follow(
  context: Context,
  path: string,
  kind: DataKind,
  begun: Rotation,
  o: Options,
): Promise<void> {
  const limit = (o.timeout ?? GIVE_UP_MS * 1e6) / 1e6;
  const end = Date.now() + limit;
  const block = new Block(o.quiet ?? false);
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.once("SIGINT", stop);
  const what = `${kind} ${begun.Name}`;
  try {
    for (let now = begun; ; now = await context.client.get<Rotation>(path)) {
      if (now.To !== begun.To || now.State === "completed") {
        block.end([`${what} is at revision ${begun.To}`, ...servicesOf(now)]);
        return;
      }
      if (now.State === "undone") {
        block.end([`${what} is back at revision ${now.Revision}`]);
        context.warn(`The rotation of ${what} was undone: ${now.Message ?? "no reason was given"}`);
        throw new Exit(1);
      }
      if (Date.now() > end) {
        context.warn(`The rotation of ${what} is not done after ${span(limit).toLowerCase()}; it goes on.`);
        throw new Exit(1);
      }
      block.show(`${what}: revision ${now.From} to ${now.To}`, servicesOf(now));
      await delay(POLL_MS, undefined, { signal: interrupt.signal });
    }
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    context.warn("Waiting was interrupted; the rotation goes on.");
    throw new Exit(INTERRUPTED);
  } finally {
    process.off("SIGINT", stop);
  }
}

function servicesOf({ Services }: Rotation): string[] {
  return Services.map(
    ({ Name, UpdateState, UpdatedTasks, DesiredTasks }) =>
      `service ${Name}: ${UpdatedTasks} of ${DesiredTasks} tasks${UpdateState ? `, ${UpdateState}` : ""}`,
  );
}
