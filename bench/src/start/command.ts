import { spawn } from "node:child_process";
import type { Side } from "../rounds.ts";

const LIMIT_MS = 30_000;

/** What `load now` prints: the clock at its first instruction, in nanoseconds. */
export const CLOCK = /^\d+\s*$/;

/** Milliseconds of a command that ends by itself with status 0 and whose output is `expected`. */
export function command(
  program: string,
  args: string[],
  expected: RegExp,
  more: Record<string, string> = {},
): Side {
  return () =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, ...more };
      const started = performance.now();
      const child = spawn(program, args, {
        env,
        stdio: ["ignore", "pipe", "pipe"],
        timeout: LIMIT_MS,
        killSignal: "SIGKILL",
      });
      let said = "";
      child.stdout.on("data", (chunk) => (said += chunk));
      child.stderr.on("data", (chunk) => (said += chunk));
      child.on("error", reject);
      child.on("close", (code) => {
        const took = performance.now() - started;
        if (code === 0 && expected.test(said)) resolve(took);
        else reject(new Error(`${program} ${args.join(" ")}: exit ${code}: ${said.slice(-500)}`));
      });
    });
}

/** The side, or undefined where it cannot be measured on this machine (Debian's crun refuses hybrid cgroups); says why. */
export async function working(
  name: string,
  side: Side | undefined,
  say: (line: string) => void,
): Promise<Side | undefined> {
  return side?.().then(
    () => side,
    (error: Error) => {
      say(`not compared with ${name}: ${error.message.split("\n")[0]}`);
      return undefined;
    },
  );
}
