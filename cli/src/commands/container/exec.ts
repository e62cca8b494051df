import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import type { Bind } from "../../program.ts";
import { list } from "../options.ts";
import { at, environment, examples } from "../words.ts";
import { fromFiles } from "./create-body.ts";
import { copyOutput, failed } from "./foreground.ts";
import { checkTerminal, followSize, forwardInput, resize, usualDetachKeys } from "./terminal.ts";

const LOOK_MS = 20;
const ENDS_MS = 5000;

interface ExecOptions {
  detach?: boolean;
  interactive?: boolean;
  tty?: boolean;
  env?: string[];
  envFile?: string[];
  user?: string;
  workdir?: string;
  privileged?: boolean;
  detachKeys?: string;
}

/** `creel exec` */
export function exec(command: Command, bind: Bind): void {
  command
    .argument("<container>")
    .argument("<command...>")
    .passThroughOptions()
    .option("-d, --detach", "leave it running")
    .option("-i, --interactive", "hand it standard input")
    .option("-t, --tty", "give it a terminal")
    .option("-e, --env <name=value>", "an environment variable", list)
    .option("--env-file <file>", "environment variables, one a line", list)
    .option("-u, --user <user>", "user or id, with an optional group")
    .option("-w, --workdir <dir>", "the working directory")
    .option("--privileged", "all capabilities")
    .option("--detach-keys <keys>", "the keys that leave it running (ctrl-p,ctrl-q)")
    .action(bind(run));
  examples(command, "creel exec -it web sh", "creel exec -e LEVEL=debug -w /app web ./job");
}

async function run(context: Context, container: string, words: string[], o: ExecOptions): Promise<void> {
  const { client } = context;
  const tty = o.tty ?? false;
  if (tty && o.interactive && !o.detach) checkTerminal();
  const detachKeys = o.detachKeys ?? usualDetachKeys();
  const { Id } = await client.post<{ Id: string }>(at("containers", container, "exec"), undefined, {
    Cmd: words,
    Env: [...(environment(fromFiles(o.envFile)) ?? []), ...(environment(o.env) ?? [])],
    User: o.user ?? "",
    WorkingDir: o.workdir ?? "",
    Privileged: o.privileged ?? false,
    Tty: tty,
    AttachStdin: !o.detach && (o.interactive ?? false),
    AttachStdout: !o.detach,
    AttachStderr: !o.detach,
    DetachKeys: detachKeys ?? "",
  });
  if (o.detach) {
    await client.post(at("exec", Id, "start"), undefined, { Detach: true, Tty: tty });
    return;
  }
  const { rows, columns } = process.stdout;
  const { socket, head } = await client
    .hijack(at("exec", Id, "start"), undefined, {
      Detach: false,
      Tty: tty,
      ...(tty && rows && columns && { ConsoleSize: [rows, columns] }),
    })
    .catch((error: unknown) => failed(context, error));
  const input = o.interactive ? forwardInput(socket, tty, detachKeys) : undefined;
  const stopResize = tty ? followSize(client, at("exec", Id)) : () => {};
  try {
    if (tty) await resize(client, at("exec", Id));
    await copyOutput(socket, head, tty);
  } finally {
    input?.restore();
    stopResize();
    socket.destroy();
  }
  if (input?.hasLeft()) return;
  const status = await exitStatus(context, Id);
  if (status !== 0) throw new Exit(status);
}

/** Output may end a moment before the process does. */
async function exitStatus({ client }: Context, id: string): Promise<number> {
  const until = Date.now() + ENDS_MS;
  for (;;) {
    const { ExitCode, Running } = await client.get<{ ExitCode: number | null; Running: boolean }>(
      at("exec", id, "json"),
    );
    if (!Running || Date.now() > until) return ExitCode ?? 0;
    await delay(LOOK_MS);
  }
}
