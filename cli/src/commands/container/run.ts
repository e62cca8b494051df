import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { switches } from "../options.ts";
import { at, examples } from "../words.ts";
import { createBody } from "./create-body.ts";
import { failed, foreground } from "./foreground.ts";
import { type RunOptions, runOptions } from "./run-options.ts";

interface Made {
  Id: string;
  Warnings: string[] | null;
}

/** `creel run` */
export function run(command: Command, bind: Bind): void {
  switches(runOptions(command), "detach", "sig-proxy")
    .option("-d, --detach", "leave it running and print its id")
    .option("--sig-proxy", "without a terminal, hand signals on to it (the default)")
    .action(
      bind(async (context: Context, image: string, words: string[], o: RunOptions) => {
        const id = await make(context, image, words, o).catch((error: unknown) => failed(context, error));
        if (o.detach) {
          await context.client
            .post(at("containers", id, "start"))
            .catch((error: unknown) => failed(context, error));
          return context.print(id);
        }
        await foreground(context, id, {
          stdin: o.interactive ?? false,
          tty: o.tty ?? false,
          removed: o.rm ?? false,
          begin: true,
          ...(o.attach && { streams: o.attach.map((name) => name.toLowerCase()) }),
          ...(o.sigProxy === false && { proxy: false }),
          ...(o.detachKeys && { detachKeys: o.detachKeys }),
        });
      }),
    );
  examples(
    command,
    "creel run --rm -it busybox sh",
    "creel run -d --name web -p 8080:8080 whoami",
    "creel run --rm -v $PWD:/src -w /src --network none busybox ls -l",
  );
}

/** `creel create` */
export function create(command: Command, bind: Bind): void {
  runOptions(command).action(
    bind(async (context: Context, image: string, words: string[], o: RunOptions) =>
      context.print(await make(context, image, words, o)),
    ),
  );
  examples(command, "creel create --name web -p 8080:8080 whoami", "creel start web");
}

async function make(
  { client, warn }: Context,
  image: string,
  words: string[],
  o: RunOptions,
): Promise<string> {
  const path = "/containers/create";
  const body = createBody(image, words, o);
  const file = o.cidfile === undefined ? undefined : openCidfile(o.cidfile);
  try {
    if (o.pull === "always") await client.post("/images/create", { fromImage: image, platform: o.platform });
    const made = await client.post<Made>(path, { name: o.name, platform: o.platform }, body);
    if (file !== undefined) writeSync(file, made.Id);
    for (const warning of made.Warnings ?? []) warn(`WARNING: ${warning}`);
    return made.Id;
  } catch (error) {
    if (o.cidfile !== undefined) rmSync(o.cidfile, { force: true });
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Before there is a container: its id is never lost for a file that cannot be written. */
function openCidfile(path: string): number {
  try {
    return openSync(path, "wx", 0o644);
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === "EEXIST";
    throw invalid(
      exists
        ? `container ID file found, make sure the other container isn't running or delete ${path}`
        : `failed to create the container ID file: ${(error as Error).message}`,
    );
  }
}

/** `creel start` */
export function start(command: Command, bind: Bind): void {
  command
    .argument("<container...>")
    .option("-a, --attach", "show what it writes, and end with its status")
    .option("-i, --interactive", "and hand it standard input")
    .option("--detach-keys <keys>", "the keys that leave it running (ctrl-p,ctrl-q)")
    .action(bind(startAll));
  examples(command, "creel start web", "creel start -ai shell");
}

interface StartOptions {
  attach?: boolean;
  interactive?: boolean;
  detachKeys?: string;
}

async function startAll(context: Context, names: string[], o: StartOptions): Promise<void> {
  if (!o.attach && !o.interactive) {
    return each(context, names, async (name) => {
      await context.client.post(at("containers", name, "start"));
      return name;
    });
  }
  if (names.length > 1) throw invalid("you cannot start and attach multiple containers at once");
  const { Config, HostConfig } = await inspect(context, names[0]!);
  await foreground(context, names[0]!, {
    stdin: (o.interactive ?? false) && Config.OpenStdin,
    tty: Config.Tty,
    removed: HostConfig.AutoRemove,
    begin: true,
    ...(o.detachKeys && { detachKeys: o.detachKeys }),
  });
}

/** `creel attach` */
export function attach(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .option("--no-stdin", "output only")
    .option("--detach-keys <keys>", "the keys that leave it running (ctrl-p,ctrl-q)")
    .action(
      bind(async (context: Context, name: string, o: { stdin: boolean; detachKeys?: string }) => {
        const { Config, HostConfig, State } = await inspect(context, name);
        if (!State.Running) throw invalid("you cannot attach to a stopped container, start it first");
        const stdin = o.stdin && Config.OpenStdin;
        await foreground(context, name, {
          stdin,
          tty: Config.Tty,
          removed: HostConfig.AutoRemove,
          begin: false,
          ...(o.detachKeys && { detachKeys: o.detachKeys }),
        });
      }),
    );
  examples(command, "creel attach shell", "creel attach --no-stdin web");
}

interface Inspected {
  Config: { Tty: boolean; OpenStdin: boolean };
  HostConfig: { AutoRemove: boolean };
  State: { Running: boolean };
}
function inspect({ client }: Context, name: string): Promise<Inspected> {
  return client.get<Inspected>(at("containers", name, "json"));
}
