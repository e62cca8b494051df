import type { Socket } from "node:net";
import type { Command } from "commander";
import { type Context, Exit } from "../context.ts";
import { demultiplex, write } from "../rest/frames.ts";
import { createBody } from "./create-body.ts";
import { cpus, list, type Port, port, size, whole } from "./options.ts";

/** What `run` and `create` can be given. */
export interface RunOptions {
  name?: string;
  detach?: boolean;
  interactive?: boolean;
  tty?: boolean;
  rm?: boolean;
  publish?: Port[];
  env?: string[];
  label?: string[];
  volume?: string[];
  tmpfs?: string[];
  entrypoint?: string;
  hostname?: string;
  user?: string;
  workdir?: string;
  network?: string;
  readOnly?: boolean;
  privileged?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  securityOpt?: string[];
  memory?: number;
  cpus?: number;
  pidsLimit?: number;
  restart?: string;
  stopSignal?: string;
  dns?: string[];
  addHost?: string[];
}

/** Gives a command the arguments and options of `docker run`. */
export function runOptions(command: Command): Command {
  return command
    .argument("<image>")
    .argument("[command...]")
    .passThroughOptions()
    .option("--name <name>", "its name")
    .option("-i, --interactive", "hand it standard input")
    .option("-t, --tty", "give it a terminal")
    .option("--rm", "remove it when it has ended")
    .option(
      "-p, --publish <port>",
      "[HOST_IP:][PORT:]TARGET[/PROTOCOL]",
      (text, before: Port[] | undefined) => [...(before ?? []), port(text)],
    )
    .option("-e, --env <name=value>", "an environment variable", list)
    .option("-l, --label <key=value>", "a label", list)
    .option("-v, --volume <source:target[:ro]>", "a folder or a volume", list)
    .option("--tmpfs <path[:options]>", "a file system in memory", list)
    .option("--entrypoint <command>", "instead of the image's")
    .option("-h, --hostname <name>", "its hostname")
    .option("-u, --user <user>", "user or id, with an optional group")
    .option("-w, --workdir <dir>", "the working directory")
    .option("--network <network>", "the network it joins")
    .option("--read-only", "nothing may be written to its root")
    .option("--privileged", "all capabilities and devices")
    .option("--cap-add <capability>", "one capability more", list)
    .option("--cap-drop <capability>", "one capability less", list)
    .option("--security-opt <option>", "seccomp=…, no-new-privileges", list)
    .option("-m, --memory <bytes>", "at most so much memory", size)
    .option("--cpus <cores>", "at most so many cores", cpus)
    .option("--pids-limit <n>", "at most so many processes", whole)
    .option("--restart <policy>", "no, on-failure[:N], always, unless-stopped")
    .option("--stop-signal <signal>", "instead of the image's")
    .option("--dns <address>", "a name server", list)
    .option("--add-host <name:address>", "a line of /etc/hosts", list)
    .helpOption("--help", "display help for command");
}

const path = (id: string) => `/containers/${encodeURIComponent(id)}`;

/** `creel run` */
export async function run(context: Context, image: string, command: string[], o: RunOptions): Promise<void> {
  const { client, print, warn } = context;
  const made = await client
    .post<{ Id: string; Warnings: string[] | null }>(
      "/containers/create",
      { name: o.name },
      createBody(image, command, o),
    )
    .catch((error: unknown) => failed(context, error));
  for (const warning of made.Warnings ?? []) warn(`WARNING: ${warning}`);
  if (o.detach) {
    await client.post(`${path(made.Id)}/start`).catch((error: unknown) => failed(context, error));
    return print(made.Id);
  }
  await foreground(context, made.Id, {
    stdin: o.interactive ?? false,
    tty: o.tty ?? false,
    removed: o.rm ?? false,
    begin: true,
  });
}

/** `creel start` */
export async function start(
  context: Context,
  names: string[],
  o: { attach?: boolean; interactive?: boolean },
): Promise<void> {
  if (!o.attach && !o.interactive) {
    for (const name of names) {
      await context.client.post(`${path(name)}/start`);
      context.print(name);
    }
    return;
  }
  if (names.length > 1) throw new Error("you cannot start and attach multiple containers at once");
  const { Config, HostConfig } = await inspect(context, names[0]!);
  const stdin = (o.interactive ?? false) && Config.OpenStdin;
  await foreground(context, names[0]!, {
    stdin,
    tty: Config.Tty,
    removed: HostConfig.AutoRemove,
    begin: true,
  });
}

/** `creel attach` */
export async function attach(
  context: Context,
  name: string,
  o: { stdin: boolean; detachKeys?: string },
): Promise<void> {
  const { Config, HostConfig, State } = await inspect(context, name);
  if (!State.Running) throw new Error("You cannot attach to a stopped container, start it first");
  const stdin = o.stdin && Config.OpenStdin;
  const options = { stdin, tty: Config.Tty, removed: HostConfig.AutoRemove, begin: false };
  await foreground(context, name, { ...options, ...(o.detachKeys && { detachKeys: o.detachKeys }) });
}

interface Inspected {
  Config: { Tty: boolean; OpenStdin: boolean };
  HostConfig: { AutoRemove: boolean };
  State: { Running: boolean };
}
function inspect({ client }: Context, name: string): Promise<Inspected> {
  return client.get<Inspected>(`${path(name)}/json`);
}

interface Foreground {
  stdin: boolean;
  tty: boolean;
  removed: boolean;
  /** Start the container once its output is ours. */
  begin: boolean;
  detachKeys?: string;
}

/** Joins this process's streams to the container's, until it ends; this process ends with its exit status. */
async function foreground(context: Context, id: string, o: Foreground): Promise<void> {
  const { client } = context;
  const query = { stream: true, stdin: o.stdin, stdout: true, stderr: true, detachKeys: o.detachKeys };
  const { socket, head } = await client.hijack(`${path(id)}/attach`, query);
  const ended = client.post<{ StatusCode: number }>(`${path(id)}/wait`, {
    condition: o.begin ? (o.removed ? "removed" : "next-exit") : "not-running",
  });
  ended.catch(() => {});
  const restore = o.stdin ? forwardInput(socket, o.tty) : () => {};
  const output = o.tty ? copy(socket, head) : demultiplex(socket, process.stdout, process.stderr, head);
  const stopResize = o.tty ? followSize(client, id) : () => {};
  const stopSignals = o.tty ? () => {} : forwardSignals(client, id);
  try {
    if (o.begin) {
      await client.post(`${path(id)}/start`).catch(async (error: unknown) => {
        socket.destroy();
        await failed(context, error);
      });
      if (o.tty) await resize(client, id);
    }
    await output;
    const { StatusCode } = await ended;
    if (StatusCode !== 0) throw new Exit(StatusCode);
  } finally {
    restore();
    stopResize();
    stopSignals();
    socket.destroy();
  }
}

async function copy(socket: Socket, head: Buffer): Promise<void> {
  if (head.length > 0) await write(process.stdout, head);
  for await (const chunk of socket) await write(process.stdout, chunk as Buffer);
}

/** Standard input goes to the container; its end is the container's end of input. Gives back what undoes it. */
function forwardInput(socket: Socket, tty: boolean): () => void {
  const { stdin } = process;
  const raw = tty && stdin.isTTY;
  if (raw) stdin.setRawMode(true);
  stdin.pipe(socket);
  return () => {
    stdin.unpipe(socket);
    if (raw) stdin.setRawMode(false);
    stdin.unref();
    stdin.pause();
  };
}

async function resize(client: Context["client"], id: string): Promise<void> {
  const { rows, columns } = process.stdout;
  if (rows === undefined || columns === undefined) return;
  await client.post(`${path(id)}/resize`, { h: rows, w: columns }).catch(() => {});
}

function followSize(client: Context["client"], id: string): () => void {
  const listener = () => void resize(client, id);
  process.stdout.on("resize", listener);
  return () => process.stdout.off("resize", listener);
}

/** Without a terminal, signals to this process are the container's. */
function forwardSignals(client: Context["client"], id: string): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
  const listener = (signal: string) => void client.post(`${path(id)}/kill`, { signal }).catch(() => {});
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

/** Docker's exit statuses where no process ran: 127 not found, 126 cannot be executed, 125 all else. */
function failed({ warn }: Context, error: unknown): never {
  const message = (error as Error).message;
  warn(`creel: Error response from daemon: ${message}`);
  if (/executable file not found|no such file or directory/.test(message)) throw new Exit(127);
  if (/permission denied|is a directory/.test(message)) throw new Exit(126);
  throw new Exit(125);
}
