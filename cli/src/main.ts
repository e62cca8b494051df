import { CommanderError } from "commander";
import { DaemonError, Exit } from "./error.ts";
import { makeProgram } from "./program.ts";

const USAGE_STATUS = 125;
const INTERRUPTED = 130;

/** The reader of a pipe has gone (`creel ps | head -1`): there is nobody to tell more. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

try {
  await makeProgram().parseAsync();
} catch (error) {
  process.exitCode = statusOf(error);
}

function statusOf(error: unknown): number {
  if (error instanceof Exit) return error.status;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_STATUS;
  if ((error as Error).name === "AbortError") return INTERRUPTED;
  const daemon = error instanceof DaemonError && error.status > 0;
  process.stderr.write(`${daemon ? "Error response from daemon: " : "creel: "}${(error as Error).message}\n`);
  return 1;
}
