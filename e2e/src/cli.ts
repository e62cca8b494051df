import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Lab } from "../../tools/src/lab/lab.ts";
import { root } from "../../tools/src/root.ts";

/** How a command ended. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** A command line bound to one node's daemon. */
export interface Cli {
  /** Runs it to the end. */
  run(args: string[], options?: { input?: string | Uint8Array; timeout?: number }): Promise<Result>;
  /** Runs it, expects exit status 0, and gives back what it printed, without the last newline. */
  ok(...args: string[]): Promise<string>;
  /** Runs it, expects that it fails, and gives back what it said. */
  fails(...args: string[]): Promise<Result>;
}

const configDir = mkdtempSync(join(tmpdir(), "ce-docker-"));
process.on("exit", () => rmSync(configDir, { recursive: true, force: true }));

function cli(program: string, prefix: string[], more: NodeJS.ProcessEnv = {}): Cli {
  const run: Cli["run"] = (args, { input, timeout = 60_000 } = {}) =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, ...more, DOCKER_CONFIG: configDir, DOCKER_CLI_HINTS: "false" };
      const child = spawn(program, [...prefix, ...args], { env, stdio: ["pipe", "pipe", "pipe"] });
      const timer = setTimeout(() => {
        child.kill("SIGKILL");
        reject(
          new Error(
            `${program} ${args.join(" ")}: not ended after ${timeout / 1000} s; it said: ${stdout}${stderr}`,
          ),
        );
      }, timeout);
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (chunk) => (stdout += chunk));
      child.stderr.on("data", (chunk) => (stderr += chunk));
      child.stdin.on("error", () => {});
      child.stdin.end(input ?? "");
      child.on("error", reject);
      child.on("close", (code, signal) => {
        clearTimeout(timer);
        resolve({ code: code ?? (signal ? 128 : 1), stdout, stderr });
      });
    });
  return {
    run,
    async ok(...args) {
      const result = await run(args);
      assert.equal(
        result.code,
        0,
        `${program} ${args.join(" ")}: exit ${result.code}: ${result.stdout}${result.stderr}`,
      );
      return result.stdout.trimEnd();
    },
    async fails(...args) {
      const result = await run(args);
      assert.notEqual(
        result.code,
        0,
        `${program} ${args.join(" ")} should fail; it printed: ${result.stdout}`,
      );
      return result;
    },
  };
}

/** The plain docker client, against one node of a lab. */
export function docker(lab: Lab, node = "node1"): Cli {
  return cli("docker", ["-H", `unix://${lab.socket(node)}`]);
}

/** `bin/creel`, against one node of a lab. */
export function creel(lab: Lab, node = "node1"): Cli {
  return cli(join(root, "bin/creel"), ["-H", `unix://${lab.socket(node)}`]);
}

/** Either of them, against any daemon's socket, with variables of its own. */
export function at(program: "docker" | "creel", socket: string, env: NodeJS.ProcessEnv): Cli {
  const path = program === "creel" ? join(root, "bin/creel") : program;
  return cli(path, ["-H", `unix://${socket}`], env);
}

/** A program of this checkout or of the machine, to its end. */
export function program(
  path: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; uid?: number } = {},
): Result {
  const result = spawnSync(path, args, { encoding: "utf8", cwd: root, timeout: 300_000, ...options });
  if (result.error !== undefined) throw result.error;
  return { code: result.status ?? 128, stdout: result.stdout, stderr: result.stderr };
}
