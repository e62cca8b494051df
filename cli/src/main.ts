import { CommanderError, InvalidArgumentError } from "commander";
import { Exit, told } from "./error.ts";
import { makeProgram } from "./program.ts";

/** An option that is not known, or has no value it can have. */
const OPTION_STATUS = 125;
const OPTION_CODES = ["unknownOption", "optionMissingArgument", "invalidArgument"];
const INTERRUPTED = 130;

/** The reader of a pipe has gone (`creel ps | head -1`): there is nobody to tell more. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

// No await: one is not to be had at the top of the CommonJS that this is bundled to.
makeProgram()
  .parseAsync()
  .catch((error) => (process.exitCode = statusOf(error)));

function statusOf(error: unknown): number {
  if (error instanceof Exit) return error.status;
  if (error instanceof CommanderError && !(error instanceof InvalidArgumentError)) return usageStatus(error);
  if ((error as Error).name === "AbortError") return INTERRUPTED;
  process.stderr.write(`${told(error)}\n`);
  return 1;
}

/** Docker's statuses; a group without a command, whose help was shown, is no mistake. */
function usageStatus({ code, exitCode }: CommanderError): number {
  if (exitCode === 0 || code === "commander.help") return 0;
  return OPTION_CODES.includes(code.replace("commander.", "")) ? OPTION_STATUS : 1;
}
