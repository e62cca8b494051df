import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { splitTag } from "../image/name.ts";
import { list } from "../options.ts";
import { at, examples } from "../words.ts";

const KINDS = ["C", "A", "D"];

/** `creel diff` */
export function diff(command: Command, bind: Bind): void {
  command.argument("<container>").action(
    bind(async ({ client, print }: Context, container: string) => {
      const changes = await client.get<{ Path: string; Kind: number }[] | null>(
        at("containers", container, "changes"),
      );
      for (const { Path, Kind } of changes ?? []) print(`${KINDS[Kind]} ${Path}`);
    }),
  );
  examples(command, "creel diff web");
}

/** `creel export` */
export function exportFiles(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .option("-o, --output <file>", "the archive (default: standard output)")
    .action(
      bind(async ({ client }: Context, container: string, o: { output?: string }) => {
        if (o.output === undefined && process.stdout.isTTY)
          throw invalid("refusing to write an archive to a terminal: use -o, or `>`");
        const archive = await client.stream("GET", at("containers", container, "export"));
        if (o.output !== undefined) return pipeline(archive, createWriteStream(o.output));
        await pipeline(archive, process.stdout, { end: false });
      }),
    );
  examples(command, "creel export -o web.tar web");
}

interface CommitOptions {
  author?: string;
  change?: string[];
  message?: string;
  pause: boolean;
}

/** `creel commit` */
export function commit(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .argument("[repository:tag]")
    .option("-a, --author <name>", "who made the image")
    .option("-c, --change <instruction>", "a Dockerfile instruction for the image's configuration", list)
    .option("-m, --message <text>", "a message for the history")
    .option("--no-pause", "let the container go on while its files are read")
    .action(
      bind(
        async ({ client, print }: Context, container: string, name: string | undefined, o: CommitOptions) => {
          const query = new URLSearchParams((o.change ?? []).map((change) => ["changes", change]));
          const { repo, tag } = name === undefined ? { repo: undefined, tag: undefined } : splitTag(name);
          const words = {
            container,
            repo,
            tag,
            author: o.author,
            comment: o.message,
            pause: o.pause ? "1" : "0",
          };
          for (const [key, value] of Object.entries(words)) if (value) query.set(key, value);
          print((await client.post<{ Id: string }>(`/commit?${query}`)).Id);
        },
      ),
    );
  examples(
    command,
    "creel commit -m 'with the fix' web web:fixed",
    "creel commit -c 'CMD [\"/app\"]' web app:1",
  );
}
