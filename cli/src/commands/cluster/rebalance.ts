import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, listing, type View } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { whole } from "../options.ts";
import { examples } from "../words.ts";

interface Node {
  ID: string;
  Hostname: string;
}
interface Move {
  TaskID: string;
  Name: string;
  From: Node;
  To: Node;
}
interface Options extends ListOptions {
  max: number;
  dryRun?: boolean;
  detach?: boolean;
}

const POLL_MS = 250;

const view: View<Move> = {
  fields: {
    ID: (it) => it.TaskID,
    Name: (it) => it.Name,
    From: (it) => it.From.Hostname,
    To: (it) => it.To.Hostname,
  },
  headings: { ID: "TASK", Name: "NAME", From: "FROM", To: "TO" },
  columns: ["ID", "Name", "From", "To"],
};

/** `creel cluster rebalance` */
export function rebalance(command: Command, bind: Bind): void {
  command
    .requiredOption("--max <n>", "how many tasks may move", whole)
    .option("--dry-run", "say what would move, and move nothing")
    .option("-d, --detach", "do not wait until they have moved")
    .option("--format <format>", "table, table TEMPLATE, json, or a Go template for each")
    .action(
      bind(async ({ client, print }: Context, o: Options) => {
        const { Moves } = await client.post<{ Moves: Move[] }>("/creel/rebalance", undefined, {
          Max: o.max,
          DryRun: o.dryRun === true,
        });
        if (Moves.length === 0 && o.format === undefined) print("nothing to move: the cluster is even");
        else for (const line of await listing(Moves, view, { ...o, trunc: true })) print(line);
        if (o.dryRun || o.detach) return;
        // Each move ends by itself: it is done, or given up after two minutes.
        while (Moves.length > 0) {
          const left = await client.get<{ Moves: Move[] }>("/creel/rebalance");
          if (left.Moves.length === 0) return;
          await delay(POLL_MS);
        }
      }),
    );
  examples(command, "creel cluster rebalance --max 10 --dry-run", "creel cluster rebalance --max 10");
}
