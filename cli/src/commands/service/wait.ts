import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import { Block } from "../../output/block.ts";
import { span } from "../../output/words.ts";
import { duration, switches } from "../options.ts";
import { type Why, whyLines } from "../why/why.ts";
import { type Progress, progressOf, type TaskView } from "./progress.ts";
import type { Service } from "./types.ts";

/** How long a service must stay as wanted before it counts as converged. */
const STABLE_MS = 1000;
const POLL_MS = 150;
const GIVE_UP_MS = 60_000;
const INTERRUPTED = 130;
const REASONS_SHOWN = 5;
/** How often the managers are asked whether it can still become so. */
const ASK_MS = 1000;
/** Lines of their answer. */
const CAUSES_SHOWN = 8;

/** How a command that changes a service waits. */
export interface WaitOptions {
  detach?: boolean;
  wait?: boolean;
  timeout?: number;
  quiet?: boolean;
}

/** Gives a command the options of waiting. */
export function waitOptions(command: Command): Command {
  command
    .option("-d, --detach", "do not wait until the tasks are as wanted")
    .option("--wait", "wait for that, and show what for (the default)")
    .option(
      "--timeout <duration>",
      "give up when nothing has gone forward for so long (default: 1m)",
      duration,
    )
    .option("-q, --quiet", "no progress");
  return switches(command, "detach", "quiet");
}

/**
 * Waits until services are as wanted and stay so for a moment, showing what is waited for and why. What cannot become
 * so is said with its cause, and makes the exit status 1. An interrupt ends the waiting; the services go on.
 */
export async function waitFor(
  context: Context,
  ids: string[],
  o: WaitOptions & { rollback?: boolean },
): Promise<void> {
  if (context.planning || (o.detach && !o.wait)) return;
  const interrupt = new AbortController();
  const stop = () => interrupt.abort();
  process.once("SIGINT", stop);
  try {
    const causes: string[] = [];
    for (const id of ids) {
      const cause = await converge(context, id, o, interrupt.signal);
      if (cause !== undefined) causes.push(cause);
    }
    for (const cause of causes) context.warn(cause);
    if (causes.length > 0) throw new Exit(1);
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    context.warn("Waiting was interrupted; the change goes on: see creel service ps.");
    throw new Exit(INTERRUPTED);
  } finally {
    process.off("SIGINT", stop);
  }
}

/** Undefined when the service is as wanted, else the cause why it is not. */
async function converge(
  context: Context,
  id: string,
  o: WaitOptions & { rollback?: boolean },
  signal: AbortSignal,
): Promise<string | undefined> {
  const limit = (o.timeout ?? GIVE_UP_MS * 1e6) / 1e6;
  const block = new Block(o.quiet ?? false);
  const nodes = new NodeNames(context);
  let stableSince = 0;
  let furthest = Number.NEGATIVE_INFINITY;
  let movedAt = Date.now();
  let askedAt = movedAt;
  let before = "";
  for (;;) {
    const found = await look(context, id, nodes, o.rollback ?? false);
    if (found === undefined) return `service ${id} is gone`;
    const { progress, name, state } = found;
    const now = Date.now();
    if (progress.forward > furthest || state !== before) {
      before = state;
      furthest = Math.max(furthest, progress.forward);
      movedAt = now;
    }
    stableSince = progress.done ? stableSince || now : 0;
    if (progress.stopped !== undefined) {
      block.end([progress.headline]);
      return [progress.stopped, ...progress.reasons].join("\n  ");
    }
    if (stableSince > 0 && now - stableSince >= STABLE_MS) {
      block.end([`verify: Service ${name} converged`]);
      return undefined;
    }
    if (!progress.done && now - askedAt >= ASK_MS) {
      askedAt = now;
      const { Stuck, ...why } = await context.client.get<Why>("/creel/why", { service: id });
      if (Stuck !== undefined) {
        block.end([progress.headline]);
        return [`service ${name} cannot converge: ${Stuck}`, ...whyLines(why).slice(0, CAUSES_SHOWN)].join(
          "\n",
        );
      }
    }
    if (!progress.done && limit > 0 && now - movedAt > limit) {
      block.end([progress.headline]);
      return [
        `service ${name} did not converge: nothing has gone forward for ${span(limit).toLowerCase()}`,
        progress.headline,
        ...progress.reasons,
      ].join("\n  ");
    }
    block.show(progress.headline, shown(progress, stableSince > 0));
    await delay(POLL_MS, undefined, { signal });
  }
}

function shown(progress: Progress, isStable: boolean): string[] {
  if (isStable) return ["verify: waiting to see that they stay"];
  const more = progress.reasons.length - REASONS_SHOWN;
  return [...progress.reasons.slice(0, REASONS_SHOWN), ...(more > 0 ? [`and ${more} more reasons`] : [])];
}

async function look({ client }: Context, id: string, nodes: NodeNames, isRollback: boolean) {
  const by = (more = {}) => ({ filters: JSON.stringify({ service: [id], ...more }) });
  const [services, tasks, current] = await Promise.all([
    client.get<Service[]>("/services", { status: true, filters: JSON.stringify({ id: [id] }) }),
    client.get<TaskView[]>("/tasks", by()),
    client.get<TaskView[]>("/tasks", by({ "_up-to-date": ["true"] })),
  ]);
  const service = services[0];
  if (service === undefined) return undefined;
  await nodes.learn(tasks);
  const progress = progressOf(service, tasks, current, (node) => nodes.get(node), isRollback);
  return { progress, name: service.Spec.Name, state: service.UpdateStatus?.State ?? "" };
}

/** Host names of nodes; asked for once, and again when a new one turns up. */
class NodeNames {
  readonly #context: Context;
  #known = new Map<string, string>();
  constructor(context: Context) {
    this.#context = context;
  }
  async learn(tasks: TaskView[]): Promise<void> {
    if (tasks.every(({ NodeID }) => NodeID === undefined || this.#known.has(NodeID))) return;
    const nodes =
      await this.#context.client.get<{ ID: string; Description: { Hostname: string } }[]>("/nodes");
    this.#known = new Map(nodes.map((node) => [node.ID, node.Description.Hostname]));
    for (const { NodeID } of tasks) if (NodeID && !this.#known.has(NodeID)) this.#known.set(NodeID, NodeID);
  }
  get(id: string): string {
    return this.#known.get(id) ?? id;
  }
}
