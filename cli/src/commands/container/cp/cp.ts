import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Command } from "commander";
import type { Context } from "../../../context.ts";
import { invalid } from "../../../invalid.ts";
import { bytes } from "../../../output/words.ts";
import type { Bind } from "../../../program.ts";
import { text } from "../../../rest/client.ts";
import { at, examples } from "../../words.ts";
import { packed } from "./pack.ts";
import { isContent, type Place, place, resolved, statIn } from "./places.ts";
import { unpack } from "./unpack.ts";

interface CpOptions {
  archive?: boolean;
  followLink?: boolean;
  quiet?: boolean;
}

/** `creel cp` */
export function cp(command: Command, bind: Bind): void {
  command
    .argument("<from>", "CONTAINER:PATH, a path here, or - for a tar archive on standard input")
    .argument("<to>", "a path here, CONTAINER:PATH, or - for a tar archive on standard output")
    .option("-a, --archive", "keep owners")
    .option("-L, --follow-link", "copy what a link that is the source leads to")
    .option("-q, --quiet", "do not say how much was copied")
    .action(bind(run));
  examples(
    command,
    "creel cp web:/etc/app.conf .",
    "creel cp ./site/. web:/srv/www",
    "creel cp web:/var/log - | tar t",
  );
}

async function run(context: Context, source: string, target: string, o: CpOptions): Promise<void> {
  const [from, to] = [place(source), place(target)];
  if (from.container !== undefined && to.container !== undefined)
    throw invalid("copying between containers is not supported");
  if (from.container === undefined && to.container === undefined)
    throw invalid("must specify at least one container source");
  const copied =
    from.container === undefined ? await copyIn(context, from, to, o) : await copyOut(context, from, to, o);
  if (copied !== undefined && !o.quiet) context.warn(`Successfully copied ${bytes(copied)} to ${target}`);
}

/** Out of a container: gives the bytes of files, or undefined where an archive went to standard output. */
async function copyOut(
  { client, warn }: Context,
  from: Place,
  to: Place,
  o: CpOptions,
): Promise<number | undefined> {
  const path = o.followLink ? await resolved(client, from) : from.path;
  const archive = () => client.stream("GET", at("containers", from.container!, "archive"), { path });
  if (to.path === "-") {
    if (process.stdout.isTTY) throw invalid("refusing to write an archive to a terminal: use `>`");
    await pipeline(await archive(), process.stdout, { end: false });
    return undefined;
  }
  const isFolder = (await statIn(client, { ...from, path })).folder;
  const there = existsSync(to.path) ? statSync(to.path) : undefined;
  if (there === undefined) {
    if (!existsSync(dirname(to.path)))
      throw invalid(`invalid output path: directory "${dirname(to.path)}" does not exist`);
    if (!isFolder && to.path.endsWith("/")) throw invalid(`no such directory: ${to.path}`);
  } else if (!there.isDirectory()) {
    if (isFolder || to.path.endsWith("/")) throw invalid(`cannot copy to ${to.path}: it is not a directory`);
  }
  const root = there?.isDirectory() && !isContent(from.path) ? join(to.path, basename(path)) : to.path;
  return await unpack(await archive(), root, { owners: o.archive ?? false, warn });
}

/** Into a container: gives the bytes of files, or undefined where an archive came from standard input. */
async function copyIn(
  { client, warn }: Context,
  from: Place,
  to: Place,
  o: CpOptions,
): Promise<number | undefined> {
  const container = to.container!;
  const put = async (path: string, archive: Readable) => {
    const query = { path, noOverwriteDirNonDir: true, ...(o.archive && { copyUIDGID: true }) };
    await text(await client.stream("PUT", at("containers", container, "archive"), query, archive));
  };
  const path = await resolved(client, to);
  const there = await statIn(client, { container, path }).catch((error: { status?: number }) => {
    if (error.status !== 404) throw error;
    return undefined;
  });
  if (from.path === "-") {
    if (there?.folder !== true) throw invalid(`destination "${container}:${to.path}" must be a directory`);
    await put(path, process.stdin);
    return undefined;
  }
  const source = packed(from.path, { owners: o.archive ?? false, followLink: o.followLink ?? false, warn });
  if (there?.folder) {
    const name = isContent(from.path) ? "." : source.name;
    await put(path, Readable.from(source.archive(name)));
  } else {
    if (there !== undefined && (source.folder || to.path.endsWith("/")))
      throw invalid(`cannot copy to ${container}:${to.path}: it is not a directory`);
    if (there === undefined && !source.folder && to.path.endsWith("/"))
      throw invalid(`no such directory: ${container}:${to.path}`);
    await put(dirname(path), Readable.from(source.archive(basename(path))));
  }
  return source.bytes();
}
