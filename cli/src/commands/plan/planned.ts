import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import type { Bind, Describe } from "../../program.ts";
import { Client, type Query } from "../../rest/client.ts";
import { change } from "../node/nodes.ts";
import { examples } from "../words.ts";
import { type Plan, planLines } from "./show.ts";

/** Exit status of a plan by which some task has no place. */
const DOES_NOT_FIT = 2;
/** Options of waiting: a plan has nothing to wait for. */
const WITHOUT = new Set(["--detach", "--wait", "--timeout", "--quiet"]);

interface PlannedRequest {
  Method: string;
  Path: string;
  Query?: Record<string, string>;
  Body?: unknown;
}

/** A client that reads from the daemon, and keeps what it was to change. */
class PlanningClient extends Client {
  readonly requests: PlannedRequest[] = [];

  override async post<T>(path: string, query?: Query, body?: unknown): Promise<T> {
    return this.#keep({ Method: "POST", Path: path, Query: texts(query), Body: body }) as T;
  }
  override async delete<T>(path: string, query?: Query): Promise<T> {
    return this.#keep({ Method: "DELETE", Path: path, Query: texts(query) }) as T;
  }

  #keep(request: PlannedRequest): unknown {
    this.requests.push(request);
    return { ID: "", Id: "" };
  }
}

function texts(query: Query = {}): Record<string, string> {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

/** A command that changes services or nodes, as one that tells what its change would do. */
export function planned(describe: Describe): Describe {
  return (command, bind) => {
    const plan: Bind = (action) =>
      bind(async (context, ...args) => {
        const client = new PlanningClient(context.client.host);
        await action({ ...context, client, planning: true, print: () => {} }, ...args);
        await showPlan(context, client.requests, command.opts<{ json?: boolean }>());
      });
    describe(command, plan);
    for (const option of command.options) if (WITHOUT.has(option.long ?? "")) option.hideHelp();
    command.option("--json", "the plan as JSON");
  };
}

/** `creel plan node drain` */
export const drain: Describe = planned((command: Command, bind: Bind) => {
  command.argument("<node...>").action(
    bind(async (context: Context, names: string[]) => {
      for (const name of names) await change(context, name, (spec) => ({ ...spec, Availability: "drain" }));
    }),
  );
  examples(command, "creel node drain node2", "creel node drain --json node2 node3");
});

async function showPlan(
  { client, print, warn }: Context,
  requests: PlannedRequest[],
  o: { json?: boolean },
): Promise<void> {
  const plan = await client.post<Plan>("/creel/plan", undefined, { Requests: requests });
  for (const warning of plan.Warnings) warn(warning);
  if (o.json) print(JSON.stringify(plan, undefined, 2));
  else for (const line of planLines(plan)) print(line);
  if (!plan.Fits) throw new Exit(DOES_NOT_FIT);
}
