import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";

/** One thing that must hold on a machine with systemd. */
export interface Check {
  name: string;
  /** Whether it is made on a machine with cgroup v1 alone, too. */
  v1?: boolean;
  check: () => Promise<void>;
}

/** How a command ended. */
export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

const SOCKET = "/run/creel/creel.sock";
const env = {
  ...process.env,
  DOCKER_HOST: `unix://${SOCKET}`,
  DOCKER_CLI_HINTS: "false",
  HOME: "/root",
};

/** Runs a program to its end. */
export function run(program: string, ...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: 180_000, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === "number" ? error.code : 128) : 0;
      resolve({
        code,
        stdout: stdout.trimEnd(),
        stderr: error?.killed ? `${stderr}: not ended after 180 s` : stderr,
      });
    });
  });
}

/** Runs a program, expects that it succeeds, and gives back what it printed. */
export async function ok(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, ...args);
  assert.equal(code, 0, `${program} ${args.join(" ")}: exit ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** The docker client, against this machine's creeld. */
export const docker = (...args: string[]): Promise<string> => ok("docker", ...args);

/** A field of what the API says of a container. The docker client would take a second to ask. */
export async function inspect(name: string, field: string): Promise<string> {
  const options = { socketPath: SOCKET, path: `/containers/${name}/json`, headers: { connection: "close" } };
  const asked = request({ ...options, signal: AbortSignal.timeout(180_000) }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  assert.equal(answer.statusCode, 200, `inspect ${name}`);
  let value: unknown = await json(answer);
  for (const key of field.split(".").slice(1)) value = (value as Record<string, unknown>)[key];
  return String(value);
}

/** Answer of an HTTP server of ours. */
export async function get(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000), headers: { connection: "close" } });
  return answer.text();
}

/** Tries until it gives something other than undefined or false. */
export async function until<T>(
  what: string,
  attempt: () => Promise<T | undefined | false>,
  seconds = 120,
): Promise<T> {
  const end = Date.now() + seconds * 1000;
  let last = "";
  for (;;) {
    try {
      const result = await attempt();
      if (result !== undefined && result !== false) return result;
    } catch (error) {
      last = `; last: ${(error as Error).message}`;
    }
    assert.ok(Date.now() < end, `${what}: not within ${seconds} s${last}`);
    await delay(300);
  }
}
