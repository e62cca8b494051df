import { terminalWidth } from "../../output/style.ts";
import { table } from "../../output/table.ts";
import { plural } from "../../output/words.ts";

interface NodeName {
  ID: string;
  Hostname: string;
}
interface Task {
  Action: string;
  Slot?: number;
  Node?: NodeName;
  From?: NodeName;
  Reason?: string;
}
interface Service {
  Name: string;
  Change: string;
  Counts: Record<string, number>;
  Tasks: Task[];
}
interface Loss {
  Node: NodeName;
  Unplaced: { ServiceName: string; Tasks: number; Reason: string }[];
}
/** A plan as the API has it. */
export interface Plan {
  Services: Service[];
  Truncated: boolean;
  Fits: boolean;
  WithoutANode: { Fits: boolean; Checked: number; Nodes: number; Losses: Loss[] };
  Complete: boolean;
  Warnings: string[];
}

/** More kept tasks of a service than that are counted, not listed. */
const KEPT_SHOWN = 20;
const DONE: Record<string, string> = {
  create: "created",
  keep: "kept",
  replace: "replaced",
  move: "moved",
  stop: "stopped",
  wait: "without a place",
};
const CHANGED: Record<string, string> = {
  create: "is created",
  update: "is updated",
  remove: "is removed",
  none: "is moved about",
};

/** A plan for people: a table for each service, then whether all fits. */
export function planLines(plan: Plan): string[] {
  const lines = plan.Services.flatMap((service) => [...serviceLines(service), ""]);
  if (plan.Services.length === 0) lines.push("Nothing would change.", "");
  if (plan.Truncated) lines.push("More tasks change than are listed: see the counts.", "");
  lines.push(`Fits: ${plan.Fits ? "yes" : "no"}`);
  if (plan.Fits || plan.WithoutANode.Losses.length > 0) lines.push(...lossLines(plan.WithoutANode));
  if (!plan.Complete) lines.push("The change takes longer than a plan looks ahead: its end is not shown.");
  return lines;
}

function serviceLines({ Name, Change, Counts, Tasks }: Service): string[] {
  const counts = Object.entries(DONE).filter(([action]) => Counts[action]);
  const said = counts.map(([action, word]) => `${Counts[action]} ${word}`).join(", ") || "no tasks";
  const head = `Service ${Name} ${CHANGED[Change] ?? Change}: ${said}`;
  const listed = Tasks.filter(({ Action }) => Action !== "keep" || (Counts.keep ?? 0) <= KEPT_SHOWN);
  if (listed.length === 0) return [head];
  const rows = listed.map((task) => [
    `${Name}.${task.Slot ?? (task.Node ?? task.From)?.Hostname ?? ""}`,
    task.Action,
    task.Node?.Hostname ?? "",
    task.From?.Hostname ?? "",
    task.Reason ?? "",
  ]);
  const all = [["TASK", "ACTION", "NODE", "FROM", "REASON"], ...rows];
  const used = all[0]!.map((_, i) => rows.some((row) => row[i] !== ""));
  const width = terminalWidth();
  const text = table(
    all.map((row) => row.filter((_, i) => used[i])),
    width === undefined ? {} : { width },
  );
  return [head, ...text.split("\n").map((line) => `  ${line}`)];
}

function lossLines({ Checked, Nodes, Losses }: Plan["WithoutANode"]): string[] {
  const looked = Checked < Nodes ? ` (looked at ${Checked} of ${Nodes} nodes, the fullest first)` : "";
  if (Losses.length === 0) return [`Fits with any one node fewer: yes${looked}`];
  const losses = Losses.map(({ Node, Unplaced }) => {
    const left = Unplaced.map(
      ({ ServiceName, Tasks, Reason }) => `${plural(Tasks, "task")} of ${ServiceName}: ${Reason}`,
    );
    return `  without ${Node.Hostname}: no place for ${left.join("; ")}`;
  });
  return [`Fits with any one node fewer: no${looked}`, ...losses];
}
