import type { Socket } from "node:net";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import { demultiplex, write } from "../../rest/frames.ts";
import { at } from "../words.ts";
import { followSize, forwardInput, resize, usualDetachKeys } from "./terminal.ts";

interface Foreground {
  stdin: boolean;
  tty: boolean;
  removed: boolean;
  /** Start the container once its output is ours. */
  begin: boolean;
  /** Which of stdout and stderr are shown; both unless said otherwise. */
  streams?: string[];
  /** Without a terminal, signals to this process are the container's; so unless said otherwise. */
  proxy?: boolean;
  detachKeys?: string;
}

/** Joins this process's streams to the container's, until it ends; this process ends with its exit status. */
export async function foreground(context: Context, id: string, o: Foreground): Promise<void> {
  const { client } = context;
  const detachKeys = o.detachKeys ?? usualDetachKeys();
  const shown = (name: string) => o.streams?.includes(name) ?? true;
  const [stdout, stderr] = [shown("stdout"), shown("stderr")];
  const query = { stream: true, stdin: o.stdin, stdout, stderr, detachKeys };
  const { socket, head } = await client.hijack(at("containers", id, "attach"), query);
  const waiting = new AbortController();
  const condition = o.begin ? (o.removed ? "removed" : "next-exit") : "not-running";
  const ended = client.post<{ StatusCode: number }>(
    at("containers", id, "wait"),
    { condition },
    undefined,
    waiting.signal,
  );
  ended.catch(() => {});
  const input = o.stdin ? forwardInput(socket, o.tty, detachKeys) : undefined;
  const output = copyOutput(socket, head, o.tty);
  output.catch(() => {});
  const stopResize = o.tty ? followSize(client, at("containers", id)) : () => {};
  const stopSignals = o.tty || o.proxy === false ? () => {} : forwardSignals(client, id);
  try {
    if (o.begin) {
      await client.post(at("containers", id, "start")).catch((error: unknown) => failed(context, error));
    }
    if (o.tty) await resize(client, at("containers", id));
    await output.catch(unlessGone);
    if (input?.hasLeft()) return;
    const { StatusCode } = await ended;
    if (StatusCode !== 0) throw new Exit(StatusCode);
  } finally {
    waiting.abort();
    input?.restore();
    stopResize();
    stopSignals();
    socket.destroy();
  }
}

/** A daemon that had more input to hand over resets the connection when the process has ended: that is its end. */
function unlessGone(error: NodeJS.ErrnoException): void {
  if (error.code !== "ECONNRESET" && error.code !== "EPIPE") throw error;
}

/** Writes what comes from the container to this process's output, until its end. */
export async function copyOutput(socket: Socket, head: Buffer, raw: boolean): Promise<void> {
  if (!raw) return await demultiplex(socket, process.stdout, process.stderr, head);
  if (head.length > 0) await write(process.stdout, head);
  for await (const chunk of socket) await write(process.stdout, chunk as Buffer);
}

/** Without a terminal, signals to this process are the container's. */
function forwardSignals(client: Context["client"], id: string): () => void {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;
  const listener = (signal: string) =>
    void client.post(at("containers", id, "kill"), { signal }).catch(() => {});
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

/** Docker's exit statuses where no process ran: 127 not found, 126 cannot be executed, 125 all else. */
export function failed({ warn }: Context, error: unknown): never {
  const message = (error as Error).message;
  warn(`creel: Error response from daemon: ${message}`);
  if (/executable file not found|no such file or directory/.test(message)) throw new Exit(127);
  if (/permission denied|is a directory/.test(message)) throw new Exit(126);
  throw new Exit(125);
}
