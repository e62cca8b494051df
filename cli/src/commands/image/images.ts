import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import type { Bind } from "../../program.ts";
import { pruned } from "../prune.ts";
import { examples } from "../words.ts";
import { imagePath, splitTag } from "./name.ts";

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<image...>")).action(
    bind((context: Context, names: string[], o: InspectOptions) =>
      inspectEach(context, names, o, (name) => context.client.get(imagePath(name, "json"))),
    ),
  );
  examples(command, "creel image inspect whoami", "creel image inspect -f '{{.Config.Entrypoint}}' whoami");
}

export function tag(command: Command, bind: Bind): void {
  command
    .argument("<source>")
    .argument("<target>")
    .action(
      bind(async ({ client }: Context, source: string, target: string) => {
        await client.post(imagePath(source, "tag"), splitTag(target));
      }),
    );
  examples(command, "creel tag whoami:latest whoami:1.0");
}

export function rm(command: Command, bind: Bind): void {
  command
    .argument("<image...>")
    .option("-f, --force", "also when it has several names or a stopped container uses it")
    .option("--no-prune", "keep parents that have no name")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean; prune: boolean }) =>
        each(context, names, async (name) => {
          const query = { force: o.force, ...(!o.prune && { noprune: true }) };
          const changes = await context.client.delete<Change[]>(imagePath(name), query);
          return changes.map(changeText).join("\n");
        }),
      ),
    );
  examples(command, "creel rmi whoami:1.0");
}

interface Change {
  Untagged?: string;
  Deleted?: string;
}
const changeText = (change: Change) =>
  change.Untagged ? `Untagged: ${change.Untagged}` : `Deleted: ${change.Deleted}`;

export function prune(command: Command, bind: Bind): void {
  pruned(command, bind, {
    path: "/images/prune",
    warning: "This removes images that no container uses.",
    filters: "label, until, dangling",
    all: { dangling: ["false"] },
    removed: (reply) => ((reply.ImagesDeleted as Change[] | null) ?? []).map(changeText),
  });
}
