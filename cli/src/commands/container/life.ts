import { type Command, Option } from "commander";
import { type Context, each } from "../../context.ts";
import type { Bind } from "../../program.ts";
import { whole } from "../options.ts";
import { pruned } from "../prune.ts";
import { at, examples } from "../words.ts";

const containers = (command: Command) => command.argument("<container...>");

/** One request for each container, which is named when that has worked. */
function verb(command: Command, bind: Bind, name: string): Command {
  return containers(command).action(
    bind((context: Context, names: string[], o: { time?: number; timeout?: number; signal?: string }) =>
      each(context, names, async (container) => {
        await context.client.post(at("containers", container, name), {
          t: o.time ?? o.timeout,
          signal: o.signal,
        });
        return container;
      }),
    ),
  );
}

function stopOptions(command: Command): Command {
  return command
    .option("-t, --time <seconds>", "between the stop signal and SIGKILL", whole)
    .addOption(new Option("--timeout <seconds>").argParser(whole).hideHelp())
    .option("-s, --signal <signal>", "instead of the container's own stop signal");
}

export function stop(command: Command, bind: Bind): void {
  examples(stopOptions(verb(command, bind, "stop")), "creel stop web", "creel stop -t 60 db");
}
export function restart(command: Command, bind: Bind): void {
  examples(stopOptions(verb(command, bind, "restart")), "creel restart web");
}
export function kill(command: Command, bind: Bind): void {
  verb(command, bind, "kill").option("-s, --signal <signal>", "which", "SIGKILL");
  examples(command, "creel kill -s HUP web");
}
export function pause(command: Command, bind: Bind): void {
  examples(verb(command, bind, "pause"), "creel pause web");
}
export function unpause(command: Command, bind: Bind): void {
  examples(verb(command, bind, "unpause"), "creel unpause web");
}

export function rename(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .argument("<name>")
    .action(
      bind(async ({ client }: Context, container: string, name: string) => {
        await client.post(at("containers", container, "rename"), { name });
      }),
    );
  examples(command, "creel rename web web-old");
}

export function rm(command: Command, bind: Bind): void {
  containers(command)
    .option("-f, --force", "also a running one: it is killed")
    .option("-v, --volumes", "with its anonymous volumes")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean; volumes?: boolean }) =>
        each(context, names, async (name) => {
          await context.client.delete(at("containers", name), { force: o.force, v: o.volumes });
          return name;
        }),
      ),
    );
  examples(command, "creel rm web", "creel rm -f $(creel ps -aq --filter label=test)");
}

export function wait(command: Command, bind: Bind): void {
  containers(command).action(
    bind((context: Context, names: string[]) =>
      each(context, names, async (name) => {
        const path = at("containers", name, "wait");
        return String((await context.client.post<{ StatusCode: number }>(path)).StatusCode);
      }),
    ),
  );
  examples(command, "creel wait job");
}

export function prune(command: Command, bind: Bind): void {
  pruned(command, bind, {
    path: "/containers/prune",
    warning: "This removes all stopped containers.",
    filters: "label, until",
    removed: (reply) => (reply.ContainersDeleted as string[] | null) ?? [],
  });
}
