import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import type { Bind } from "../../program.ts";
import { list } from "../options.ts";
import { at, environment, examples } from "../words.ts";
import { copyOutput, failed } from "./foreground.ts";
import { followSize, forwardInput, resize } from "./terminal.ts";

interface ExecOptions {
  detach?: boolean;
  interactive?: boolean;
  tty?: boolean;
  env?: string[];
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
  const { Id } = await client.post<{ Id: string }>(at("containers", container, "exec"), undefined, {
    Cmd: words,
    Env: environment(o.env) ?? [],
    User: o.user ?? "",
    WorkingDir: o.workdir ?? "",
    Privileged: o.privileged ?? false,
    Tty: tty,
    AttachStdin: !o.detach && (o.interactive ?? false),
    AttachStdout: !o.detach,
    AttachStderr: !o.detach,
    DetachKeys: o.detachKeys ?? "",
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
  const restore = o.interactive ? forwardInput(socket, tty) : () => {};
  const stopResize = tty ? followSize(client, at("exec", Id)) : () => {};
  try {
    if (tty) await resize(client, at("exec", Id));
    await copyOutput(socket, head, tty);
  } finally {
    restore();
    stopResize();
    socket.destroy();
  }
  const { ExitCode, Running } = await client.get<{ ExitCode: number | null; Running: boolean }>(
    at("exec", Id, "json"),
  );
  if (!Running && ExitCode) throw new Exit(ExitCode);
}
