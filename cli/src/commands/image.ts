import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import type { Command } from "commander";
import { type Context, each, filters } from "../context.ts";
import { table } from "../output/table.ts";
import { ago, bytes, short } from "../output/words.ts";
import type { Bind } from "../program.ts";
import { jsonLines } from "../rest/client.ts";
import { list } from "./options.ts";

interface Image {
  Id: string;
  RepoTags: string[] | null;
  Created: number;
  Size: number;
}
interface Progress {
  stream?: string;
  status?: string;
  id?: string;
  error?: string;
}

/** `creel image …` */
export function imageCommands(program: Command, bind: Bind): void {
  const image = program.command("image").description("images");
  addLs(image.command("ls"), bind);
  addAll(image, bind);
  image
    .command("inspect")
    .description("all that is known of images, as JSON")
    .argument("<image...>")
    .action(
      bind(async ({ client, print }: Context, names: string[]) => {
        const found: unknown[] = [];
        for (const name of names) found.push(await client.get(`/images/${encodeName(name)}/json`));
        print(JSON.stringify(found, undefined, 4));
      }),
    );
  addRm(image.command("rm"), bind);
}

/** `creel images`, `load`, `import`, `tag`, `rmi` */
export function imageShortcuts(program: Command, bind: Bind): void {
  addLs(program.command("images"), bind);
  addAll(program, bind);
  addRm(program.command("rmi"), bind);
}

function addLs(command: Command, bind: Bind): void {
  command
    .description("list images")
    .option("-a, --all", "also those in between")
    .option("-q, --quiet", "only ids")
    .option("--no-trunc", "whole ids")
    .option("-f, --filter <filter>", "dangling, label, reference, before, since", list)
    .action(bind(ls));
}

function addAll(parent: Command, bind: Bind): void {
  parent
    .command("load")
    .description("take images from an archive of `docker save`, or an OCI layout")
    .option("-i, --input <file>", "the archive (default: standard input)")
    .option("-q, --quiet", "no progress")
    .action(bind(load));
  parent
    .command("import")
    .description("make an image of a file system in a tar archive")
    .argument("<file|->")
    .argument("[repository:tag]")
    .option("-c, --change <instruction>", "a Dockerfile instruction for the image's configuration", list)
    .option("-m, --message <text>", "a message for the history")
    .action(bind(importImage));
  parent
    .command("tag")
    .description("give an image another name")
    .argument("<source>")
    .argument("<target>")
    .action(
      bind(async ({ client }: Context, source: string, target: string) => {
        await client.post(`/images/${encodeName(source)}/tag`, splitTag(target));
      }),
    );
}

function addRm(command: Command, bind: Bind): void {
  command
    .description("remove images")
    .argument("<image...>")
    .option("-f, --force", "also when it has several names or a stopped container uses it")
    .action(bind(rm));
}

async function ls(
  { client, print }: Context,
  o: { all?: boolean; quiet?: boolean; trunc: boolean; filter?: string[] },
): Promise<void> {
  const images = await client.get<Image[]>("/images/json", { all: o.all, ...filters(o.filter) });
  const id = (image: Image) => (o.trunc ? short(image.Id) : image.Id);
  if (o.quiet) {
    for (const image of images) print(id(image));
    return;
  }
  const rows = images.flatMap((image) =>
    (image.RepoTags?.length ? image.RepoTags : ["<none>:<none>"]).map((name) => {
      const { repo, tag } = splitTag(name);
      return [repo, tag ?? "<none>", id(image), ago(image.Created), bytes(image.Size)];
    }),
  );
  print(table([["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], ...rows]));
}

async function load(context: Context, o: { input?: string; quiet?: boolean }): Promise<void> {
  if (o.input === undefined && process.stdin.isTTY) {
    throw new Error(
      "requested load from stdin, but stdin is a terminal: name an archive with -i, or use `<`",
    );
  }
  const body = o.input === undefined ? process.stdin : createReadStream(o.input);
  await progress(
    context,
    await context.client.stream("POST", "/images/load", { quiet: o.quiet ? 1 : 0 }, body),
  );
}

async function importImage(
  context: Context,
  file: string,
  name: string | undefined,
  o: { change?: string[]; message?: string },
): Promise<void> {
  const { repo, tag } = name === undefined ? { repo: undefined, tag: undefined } : splitTag(name);
  const query = new URLSearchParams();
  for (const change of o.change ?? []) query.append("changes", change);
  const body = file === "-" ? process.stdin : createReadStream(file);
  const path = `/images/create?${query}${query.size > 0 ? "&" : ""}fromSrc=-`;
  const words = [
    ["repo", repo],
    ["tag", tag],
    ["message", o.message],
  ].flatMap(([key, value]) => (value ? [`&${key}=${encodeURIComponent(value)}`] : []));
  await progress(context, await context.client.stream("POST", path + words.join(""), undefined, body));
}

async function rm(context: Context, names: string[], o: { force?: boolean }): Promise<void> {
  await each(context, names, async (name) => {
    const changes = await context.client.delete<{ Untagged?: string; Deleted?: string }[]>(
      `/images/${encodeName(name)}`,
      { force: o.force },
    );
    return changes
      .map((change) => (change.Untagged ? `Untagged: ${change.Untagged}` : `Deleted: ${change.Deleted}`))
      .join("\n");
  });
}

async function progress({ print }: Context, stream: Readable): Promise<void> {
  for await (const line of jsonLines<Progress>(stream)) {
    if (line.error !== undefined) throw new Error(line.error);
    if (line.stream !== undefined) print(line.stream.trimEnd());
    else if (line.status !== undefined && line.id === undefined) print(line.status);
  }
}

/** `repo[:tag]`; a colon before a slash belongs to the registry's port. */
function splitTag(name: string): { repo: string; tag: string | undefined } {
  const colon = name.lastIndexOf(":");
  if (colon <= name.lastIndexOf("/")) return { repo: name, tag: undefined };
  return { repo: name.slice(0, colon), tag: name.slice(colon + 1) };
}

function encodeName(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}
