import { createReadStream, createWriteStream } from "node:fs";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { jsonLines } from "../../rest/client.ts";
import { list } from "../options.ts";
import { examples } from "../words.ts";
import { splitTag } from "./name.ts";

interface Progress {
  stream?: string;
  status?: string;
  id?: string;
  error?: string;
}

/** `creel load` */
export function load(command: Command, bind: Bind): void {
  command
    .option("-i, --input <file>", "the archive (default: standard input)")
    .option("-q, --quiet", "no progress")
    .action(
      bind(async (context: Context, o: { input?: string; quiet?: boolean }) => {
        if (o.input === undefined && process.stdin.isTTY)
          throw invalid(
            "requested load from stdin, but stdin is a terminal: name an archive with -i, or use `<`",
          );
        const body = o.input === undefined ? process.stdin : createReadStream(o.input);
        const query = { quiet: o.quiet ? 1 : 0 };
        await progress(context, await context.client.stream("POST", "/images/load", query, body));
      }),
    );
  examples(command, "creel load -i whoami.tar", "docker save web | creel load");
}

/** `creel save` */
export function save(command: Command, bind: Bind): void {
  command
    .argument("<image...>")
    .option("-o, --output <file>", "the archive (default: standard output)")
    .action(
      bind(async ({ client }: Context, names: string[], o: { output?: string }) => {
        if (o.output === undefined && process.stdout.isTTY)
          throw invalid("refusing to write an archive to a terminal: use -o, or `>`");
        const query = new URLSearchParams(names.map((name) => ["names", name]));
        const archive = await client.stream("GET", `/images/get?${query}`);
        if (o.output !== undefined) return pipeline(archive, createWriteStream(o.output));
        await pipeline(archive, process.stdout, { end: false });
      }),
    );
  examples(command, "creel save -o web.tar web:1.0", "creel save web | gzip > web.tar.gz");
}

interface ImportOptions {
  change?: string[];
  message?: string;
  platform?: string;
}

/** `creel import` */
export function importImage(command: Command, bind: Bind): void {
  command
    .argument("<file|->")
    .argument("[repository:tag]")
    .option("-c, --change <instruction>", "a Dockerfile instruction for the image's configuration", list)
    .option("-m, --message <text>", "a message for the history")
    .option("--platform <platform>", "OS/ARCHITECTURE of the image")
    .action(
      bind(async (context: Context, file: string, name: string | undefined, o: ImportOptions) => {
        const query = new URLSearchParams((o.change ?? []).map((change) => ["changes", change]));
        query.set("fromSrc", "-");
        const { repo, tag } = name === undefined ? { repo: undefined, tag: undefined } : splitTag(name);
        const words = { repo, tag, message: o.message, platform: o.platform };
        for (const [key, value] of Object.entries(words)) if (value) query.set(key, value);
        const body = file === "-" ? process.stdin : createReadStream(file);
        await progress(
          context,
          await context.client.stream("POST", `/images/create?${query}`, undefined, body),
        );
      }),
    );
  examples(command, "creel import -c 'CMD [\"/app\"]' rootfs.tar app:1.0");
}

async function progress({ print }: Context, stream: Readable): Promise<void> {
  for await (const line of jsonLines<Progress>(stream)) {
    if (line.error !== undefined) throw invalid(line.error);
    if (line.stream !== undefined) print(line.stream.trimEnd());
    else if (line.status !== undefined && line.id === undefined) print(line.status);
  }
}
