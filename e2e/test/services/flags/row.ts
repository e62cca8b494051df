import assert from "node:assert/strict";
import type { Cli } from "../../../src/cli.ts";

// biome-ignore lint/suspicious/noExplicitAny: what docker prints is read by path
export type Json = any;

/** What a flag's row looks at. */
export interface Seen {
  /** `docker service inspect`. */
  spec: Json;
  cli: Cli;
  /** `docker inspect` of the task's container. */
  container: Json;
  /** A command in the container. */
  sh(script: string): Promise<string>;
}

/** A flag of docker's, and what must be so where it was given. */
export interface Row {
  flags: string;
  args: string[];
  see(seen: Seen): unknown;
  is: unknown;
}

/** A row of the table. */
export const row = (flags: string, args: string[], see: Row["see"], is: unknown): Row => ({
  flags,
  args,
  see,
  is,
});
/** The lines that are not empty. */
export const lines = (text: string) => text.split("\n").filter((line) => line !== "");
/** A line of the first process's status in /proc. */
export const ofFirst = (field: string) => (seen: Seen) => seen.sh(`grep ^${field}: /proc/1/status`);
/** Whether the first process may ever have a capability. */
export const hasCapability = async (seen: Seen, bit: number) =>
  ((BigInt(`0x${(await ofFirst("CapBnd")(seen)).split(":")[1]!.trim()}`) >> BigInt(bit)) & 1n) === 1n;
/** A limit of the container's cgroup, by its file in either version. */
export const limit = (v1: string, v2: string) => (seen: Seen) =>
  seen.sh(`cat /sys/fs/cgroup/${v1} 2>/dev/null || cat /sys/fs/cgroup/${v2}`);
/** The service's task template. */
export const task = (seen: Seen) => seen.spec.Spec.TaskTemplate;
export const NET_ADMIN = 12;
export const CHOWN = 0;

/** The flags that the rows give. */
export function flagsOf(rows: Row[]): string[] {
  return rows.flatMap(({ args }) => args).flatMap((word) => /^--[a-z-]+/.exec(word) ?? []);
}

/** A test for each row, of what `seen` gives by then. */
export function check(rows: Row[], seen: () => Seen): void {
  for (const { flags, see, is } of rows) {
    it(flags, async () => {
      const found = await see(seen());
      if (is instanceof RegExp) assert.match(String(found), is);
      else assert.deepEqual(found, is);
    });
  }
}
