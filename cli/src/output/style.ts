import type { WriteStream } from "node:tty";

/** Whether colours are wanted there: a terminal, and nobody said NO_COLOR. */
export function hasColour(
  stream: Pick<WriteStream, "isTTY"> = process.stdout,
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  return Boolean(stream.isTTY) && !env.NO_COLOR && env.TERM !== "dumb";
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;

/** Text in a colour, where colours are wanted. */
export function paint(colour: keyof typeof CODES, text: string, on = hasColour()): string {
  return on && text !== "" ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text;
}

/** The terminal's columns; undefined where standard output is none. */
export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns || undefined : undefined;
}
