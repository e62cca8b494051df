import type { Socket } from "node:net";
import type { Context } from "../../context.ts";

/** Standard input goes to the container; its end is the container's end of input. Gives back what undoes it. */
export function forwardInput(socket: Socket, tty: boolean): () => void {
  const { stdin } = process;
  const raw = tty && stdin.isTTY;
  if (raw) stdin.setRawMode(true);
  stdin.pipe(socket);
  return () => {
    stdin.unpipe(socket);
    if (raw) stdin.setRawMode(false);
    stdin.unref?.();
    stdin.pause();
  };
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
