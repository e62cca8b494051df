import { program } from "../src/cli.ts";

/** Runs a program of this machine and throws what it said when it fails. */
export function must(command: string, ...args: string[]): void {
  const { code, stdout, stderr } = program(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${code}: ${stdout}${stderr}`);
}
