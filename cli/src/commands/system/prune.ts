import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { bytes } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { confirmed } from "../prune.ts";
import { examples, filterOption, filters } from "../words.ts";

interface Options {
  force?: boolean;
  all?: boolean;
  volumes?: boolean;
  filter?: string[];
}
type Reply = Record<string, unknown> & { SpaceReclaimed?: number };

/** `creel system prune`: containers first, so that what they used is no longer in use. */
export function prune(command: Command, bind: Bind): void {
  filterOption(command, "label, until", "--filter <filter>")
    .option("-a, --all", "all images that are not used, not only those without a name")
    .option("--volumes", "and volumes without a name that no container uses")
    .option("-f, --force", "do not ask")
    .action(bind(run));
  examples(command, "creel system prune -f", "creel system prune -af --filter until=24h");
}

async function run({ client, print }: Context, o: Options): Promise<void> {
  const volumes = o.volumes ? ", volumes without a name that nothing uses" : "";
  const images = o.all ? "images that nothing uses" : "images without a name";
  const warning = `This removes all stopped containers, networks that nothing uses, ${images}${volumes}.`;
  if (!o.force && !(await confirmed(warning))) return;
  let space = 0;
  const one = async (kind: string, key: string, more: Record<string, string[]> = {}) => {
    const reply = await client.post<Reply>(`/${kind}/prune`, filters(o.filter, more));
    space += reply.SpaceReclaimed ?? 0;
    const removed =
      (reply[key] as (string | { Untagged?: string; Deleted?: string })[] | null | undefined) ?? [];
    if (removed.length > 0) print(`Deleted ${kind}:`);
    for (const each of removed)
      print(
        typeof each === "string"
          ? each
          : each.Untagged
            ? `untagged: ${each.Untagged}`
            : `deleted: ${each.Deleted}`,
      );
    if (removed.length > 0) print("");
  };
  await one("containers", "ContainersDeleted");
  await one("networks", "NetworksDeleted");
  if (o.volumes) await one("volumes", "VolumesDeleted");
  await one("images", "ImagesDeleted", o.all ? { dangling: ["false"] } : {});
  print(`Total reclaimed space: ${bytes(space)}`);
}
