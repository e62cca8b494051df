import { mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { CreelError } from "@creel/shared";

/** Writes this process's id; refuses while the process named there still runs. Returns the way to take it away. */
export function writePidfile(path: string): () => void {
  const before = livePid(path, /daemon\/src\/main\.ts|creeld\/main\.mjs/);
  if (before !== undefined && before !== process.pid) {
    throw new CreelError("conflict", {
      message: `process with PID ${before} is still running (${path}): stop it first, or give another --pidfile, --data-root and --exec-root`,
    });
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${process.pid}\n`);
  return () => {
    try {
      if (readFileSync(path, "utf8").trim() === String(process.pid)) unlinkSync(path);
    } catch {
      // it is gone already
    }
  };
}

/** The process named in a pidfile, if it runs and its command line matches `program`. */
export function livePid(path: string, program: RegExp): number | undefined {
  let pid: number;
  try {
    pid = Number.parseInt(readFileSync(path, "utf8"), 10);
  } catch {
    return undefined;
  }
  return isProgram(pid, program) ? pid : undefined;
}

/** Whether process `pid` runs `program`. */
function isProgram(pid: number, program: RegExp): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    return program.test(readFileSync(`/proc/${pid}/cmdline`, "utf8"));
  } catch {
    return false;
  }
}
