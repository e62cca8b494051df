import type { Socket } from "node:net";
import { readConfig } from "../../config/files.ts";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";

/** What is typed on its way to the container. */
export interface Input {
  /** The last keys were those that leave the container running. */
  hasLeft(): boolean;
  /** Gives the terminal back. */
  restore(): void;
}

/** Refuses to give a container this terminal where there is none. */
export function checkTerminal(): void {
  if (!process.stdin.isTTY) throw invalid("the input device is not a TTY");
}

/** The detach keys of docker's configuration file; undefined: the usual ones. */
export function usualDetachKeys(): string | undefined {
  const { detachKeys } = readConfig();
  return typeof detachKeys === "string" && detachKeys !== "" ? detachKeys : undefined;
}

/** Standard input goes to the container; its end is the container's end of input. */
export function forwardInput(socket: Socket, tty: boolean, detachKeys = "ctrl-p,ctrl-q"): Input {
  const { stdin } = process;
  const raw = tty && stdin.isTTY;
  const keys = tty ? keyBytes(detachKeys) : Buffer.alloc(0);
  let last = Buffer.alloc(0);
  const remember = (chunk: Buffer) => {
    last = Buffer.concat([last, chunk]).subarray(-keys.length);
  };
  if (raw) stdin.setRawMode(true);
  if (keys.length > 0) stdin.on("data", remember);
  stdin.pipe(socket);
  return {
    hasLeft: () => keys.length > 0 && last.equals(keys),
    restore() {
      stdin.unpipe(socket);
      stdin.off("data", remember);
      if (raw) stdin.setRawMode(false);
      stdin.unref?.();
      stdin.pause();
    },
  };
}

/** `ctrl-p,q` as the bytes a terminal sends for it. */
export function keyBytes(text: string): Buffer {
  const bytes = text.split(",").map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key)?.[1];
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f;
    if ([...key].length === 1) return key.charCodeAt(0);
    throw invalid(`invalid detach keys (${text}): unknown key "${key}"`);
  });
  return Buffer.from(bytes);
}

/** Tells the terminal of a container or an exec how large this one is. */
export async function resize(client: Context["client"], path: string): Promise<void> {
  const { rows, columns } = process.stdout;
  if (!rows || !columns) return;
  await client.post(`${path}/resize`, { h: rows, w: columns }).catch(() => {});
}

/** Goes on telling it. Gives back what ends that. */
export function followSize(client: Context["client"], path: string): () => void {
  const listener = () => void resize(client, path);
  process.stdout.on("resize", listener);
  return () => process.stdout.off("resize", listener);
}
