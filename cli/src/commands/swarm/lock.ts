import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { examples } from "../words.ts";

/** What a user is to do with the key. */
export function autolockText(key: string): string {
  return `To unlock a manager after it restarts, run \`creel swarm unlock\` and provide the following key:

    ${key}

Remember to store this key in a password manager, since without it you
will not be able to restart the manager.`;
}

/** `creel swarm unlock` */
export function unlock(command: Command, bind: Bind): void {
  command.action(
    bind(async ({ client }: Context) => {
      const { Swarm } = await client.get<{ Swarm: { LocalNodeState: string } }>("/info");
      if (Swarm.LocalNodeState === "inactive") throw invalid("this node is not part of a swarm");
      if (Swarm.LocalNodeState !== "locked") throw invalid("swarm is not locked");
      await client.post("/swarm/unlock", undefined, { UnlockKey: await readKey() });
    }),
  );
  examples(command, "creel swarm unlock", "creel swarm unlock < key");
}

/** The first line of standard input; at a terminal without showing what is written. */
async function readKey(): Promise<string> {
  const terminal = process.stdin.isTTY === true;
  if (terminal) process.stderr.write("Please enter unlock key: ");
  const lines = createInterface({ input: process.stdin, terminal });
  try {
    for await (const line of lines) return line.trim();
    throw invalid("no key was given");
  } finally {
    lines.close();
    if (terminal) process.stderr.write("\n");
  }
}

/** `creel swarm unlock-key` */
export function unlockKey(command: Command, bind: Bind): void {
  command
    .option("-q, --quiet", "only the key")
    .option("--rotate", "make a new one first; the old one stops working")
    .action(bind(showKey));
  examples(command, "creel swarm unlock-key", "creel swarm unlock-key --rotate -q");
}

async function showKey({ client, print }: Context, o: { quiet?: boolean; rotate?: boolean }): Promise<void> {
  if (o.rotate) {
    const { Version, Spec } = await client.get<{ Version: { Index: number }; Spec: object }>("/swarm");
    await client.post("/swarm/update", { version: Version.Index, rotateManagerUnlockKey: true }, Spec);
    if (!o.quiet) print("Successfully rotated manager unlock key.\n");
  }
  const { UnlockKey } = await client.get<{ UnlockKey: string }>("/swarm/unlockkey");
  if (UnlockKey === "") throw invalid("no unlock key is set");
  print(o.quiet ? UnlockKey : autolockText(UnlockKey));
}
