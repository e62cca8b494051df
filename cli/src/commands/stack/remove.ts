import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { DaemonError, Exit } from "../../error.ts";
import type { Bind } from "../../program.ts";
import { switches } from "../options.ts";
import { at, examples } from "../words.ts";
import { checkedName } from "./files.ts";
import { ofStack, partsOf } from "./objects.ts";

const POLL_MS = 100;
const GIVE_UP_MS = 120_000;
const ENDED = ["complete", "shutdown", "failed", "rejected", "remove", "orphaned"];

export function rm(command: Command, bind: Bind): void {
  switches(command, "detach")
    .argument("<stack...>")
    .option("-d, --detach", "do not wait until their tasks have ended")
    .action(
      bind(async (context: Context, names: string[], o: { detach?: boolean }) => {
        for (const name of names.map(checkedName)) await removeStack(context, name, o.detach ?? false);
      }),
    );
  examples(command, "creel stack rm shop");
}

/** Takes away all that belongs to a stack, and waits until its tasks have ended unless that is not wanted. */
export async function removeStack(context: Context, name: string, detach: boolean): Promise<void> {
  const { services, secrets, configs, networks } = await partsOf(context.client, name);
  const parts = [
    ...services.map(({ ID, Spec }) => ({ kind: "service", id: ID, name: Spec.Name })),
    ...secrets.map(({ ID, Spec }) => ({ kind: "secret", id: ID, name: Spec.Name })),
    ...configs.map(({ ID, Spec }) => ({ kind: "config", id: ID, name: Spec.Name })),
    ...networks.map(({ Id, Name }) => ({ kind: "network", id: Id, name: Name })),
  ].sort((a, b) => order(a.kind) - order(b.kind) || a.name.localeCompare(b.name));
  if (parts.length === 0) return context.warn(`Nothing found in stack: ${name}`);
  let failed = false;
  for (const part of parts) {
    context.print(`Removing ${part.kind} ${part.name}`);
    try {
      await context.client.delete(at(`${part.kind}s`, part.id));
    } catch (error) {
      if (error instanceof DaemonError && error.status === 404) continue;
      failed = true;
      context.warn(`failed to remove ${part.kind} ${part.name}: ${(error as Error).message}`);
    }
  }
  if (failed) throw new Exit(1);
  if (!detach) await tasksEnd(context, name);
}

const order = (kind: string) => ["service", "secret", "config", "network"].indexOf(kind);

async function tasksEnd(context: Context, name: string): Promise<void> {
  const end = Date.now() + GIVE_UP_MS;
  for (;;) {
    const tasks = await context.client.get<{ Status: { State: string } }[]>("/tasks", ofStack(name));
    const left = tasks.filter(({ Status }) => !ENDED.includes(Status.State)).length;
    if (left === 0) return;
    if (Date.now() > end) {
      context.warn(
        `${left} tasks of stack ${name} have not ended after ${GIVE_UP_MS / 1000} s: see creel stack ps`,
      );
      throw new Exit(1);
    }
    await delay(POLL_MS);
  }
}
