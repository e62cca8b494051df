import { CommanderError } from "commander";
import { Exit } from "./context.ts";
import { makeProgram } from "./program.ts";
import { DaemonError } from "./rest/client.ts";

const USAGE_STATUS = 125;

try {
  await makeProgram().parseAsync();
} catch (error) {
  if (error instanceof Exit) process.exitCode = error.status;
  else if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE_STATUS;
  else {
    const daemon = error instanceof DaemonError && error.status > 0;
    process.stderr.write(
      `${daemon ? "Error response from daemon: " : "creel: "}${(error as Error).message}\n`,
    );
    process.exitCode = 1;
  }
}
