import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { Exit } from "../../error.ts";
import { paint } from "../../output/style.ts";
import { plural } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { resolveHost } from "../../rest/host.ts";
import { examples } from "../words.ts";
import { checkCgroups } from "./cgroups.ts";
import type { Finding } from "./check.ts";
import { checkClock } from "./clock.ts";
import { askDaemon, checkDaemon } from "./daemon.ts";
import { checkDisk } from "./disk.ts";
import { checkKernel } from "./kernel.ts";
import { checkPorts } from "./ports.ts";

const VERSION = "0.1.0";
const DATA_ROOT = "/var/lib/creel";

/** `creel doctor` */
export function doctor(command: Command, bind: Bind): void {
  command
    .option("--json", "as JSON")
    .option("--data-root <dir>", "the folder that the daemon keeps its data in")
    .action(bind(run));
  examples(command, "creel doctor", "creel doctor --json | jq '.findings[] | select(.status != \"ok\")'");
  command.addHelpText(
    "after",
    "\nExit status: 0 when all that is needed is there, 1 when something is missing.",
  );
}

async function run(context: Context, o: { json?: boolean; dataRoot?: string }): Promise<void> {
  const daemon = await askDaemon(context);
  const isHere = !(daemon instanceof Error) && resolveHost(context.global).socketPath !== undefined;
  const dataRoot = o.dataRoot ?? (isHere ? daemon.dataRoot : DATA_ROOT);
  const findings: Finding[] = [
    ...checkKernel(),
    ...checkCgroups(),
    ...(await checkPorts(isHere && daemon.isActive)),
    ...checkDisk(dataRoot),
    ...checkClock(daemon instanceof Error ? undefined : daemon.date),
    ...checkDaemon(daemon, VERSION),
  ];
  const missing = findings.filter(({ status }) => status === "missing");
  if (o.json) context.print(JSON.stringify({ ok: missing.length === 0, findings }, undefined, 2));
  else for (const line of report(findings)) context.print(line);
  if (missing.length > 0) throw new Exit(1);
}

const MARKS = {
  ok: () => paint("green", "✓"),
  poor: () => paint("yellow", "!"),
  missing: () => paint("red", "✗"),
  unknown: () => paint("dim", "?"),
};

/** The findings by area, and a last line that adds up. */
export function report(findings: Finding[]): string[] {
  const lines: string[] = [];
  const width = Math.max(...findings.map(({ name }) => name.length));
  let area = "";
  for (const each of findings) {
    if (each.area !== area) lines.push(...(area === "" ? [] : [""]), paint("bold", each.area));
    area = each.area;
    lines.push(`  ${MARKS[each.status]()} ${each.name.padEnd(width)}  ${each.found}`);
    if (each.means !== "") lines.push(`    ${" ".repeat(width)}  → ${each.means}`);
  }
  const count = (status: Finding["status"]) => findings.filter((each) => each.status === status).length;
  const parts = [
    count("missing") > 0 ? paint("red", `${plural(count("missing"), "thing")} missing`) : "",
    count("poor") > 0 ? paint("yellow", `${count("poor")} to look at`) : "",
    count("unknown") > 0 ? `${count("unknown")} that cannot be told` : "",
  ].filter((part) => part !== "");
  return [...lines, "", parts.length === 0 ? paint("green", "all is well") : parts.join(", ")];
}
