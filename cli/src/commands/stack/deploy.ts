import type { Command } from "commander";
import { Option } from "commander";
import { stackSpecs } from "../../compose/convert/stack.ts";
import type { Loaded } from "../../compose/load.ts";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { list, switches } from "../options.ts";
import { type WaitOptions, waitFor, waitOptions } from "../service/wait.ts";
import { examples } from "../words.ts";
import { applyStack } from "./apply.ts";
import { checkedName, type FileOptions, files, load, nameOf } from "./files.ts";
import { removeStack } from "./remove.ts";

type UpOptions = FileOptions & WaitOptions & { project?: string; prune?: boolean };

/** Gives a command the options that say which files are meant. */
function fileOptions(command: Command): Command {
  return command
    .option("-f, --file <path>", "a compose file, several one over the other; - is standard input", files)
    .option("--profile <name>", "services of this profile, too", list);
}

export function up(command: Command, bind: Bind): void {
  switches(waitOptions(fileOptions(command)), "prune")
    .option("-p, --project <name>", "the stack's name (default: the file's, else the folder's)")
    .option("--prune", "remove services that the files no longer have")
    .action(
      bind(async (context: Context, o: UpOptions) => {
        const stack = load(context, o);
        await run(context, nameOf(stack, o.project), stack, o);
      }),
    );
  examples(command, "creel up", "creel up -f compose.yaml -f production.yaml --project shop --prune");
}

export function deploy(command: Command, bind: Bind): void {
  switches(waitOptions(command), "prune")
    .argument("<stack>")
    .requiredOption(
      "-c, --compose-file <path>",
      "a compose file, several one over the other; - is standard input",
      files,
    )
    .option("--prune", "remove services that the files no longer have")
    .option("--with-registry-auth", "taken for docker's sake: nodes use their own credentials")
    .addOption(
      new Option(
        "--resolve-image <when>",
        "taken for docker's sake: nodes hand each other the image",
      ).choices(["always", "changed", "never"]),
    )
    .action(
      bind(async (context: Context, name: string, o: UpOptions & { composeFile: string[] }) => {
        await run(context, checkedName(name), load(context, { file: o.composeFile }), o);
      }),
    );
  examples(command, "creel stack deploy -c compose.yaml shop", "creel stack deploy -c - shop < compose.yaml");
}

async function run(context: Context, name: string, stack: Loaded, o: UpOptions): Promise<void> {
  const { Swarm } = await context.client.get<{ Swarm: { ControlAvailable: boolean } }>("/info");
  if (!Swarm.ControlAvailable)
    throw invalid("this node is no manager: make a cluster with creel swarm init, or ask a manager with -H");
  const { changed, ids } = await applyStack(context, stackSpecs(name, stack), o);
  if (context.planning) return;
  if (!changed) context.print(`Nothing to change in stack ${name}`);
  await waitFor(context, ids, o);
}

export function down(command: Command, bind: Bind): void {
  switches(fileOptions(command), "detach")
    .option("-p, --project <name>", "the stack's name (default: the file's, else the folder's)")
    .option("-d, --detach", "do not wait until its tasks have ended")
    .action(
      bind(async (context: Context, o: UpOptions) => {
        const name = o.project ?? nameOf(load(context, o), undefined);
        await removeStack(context, checkedName(name), o.detach ?? false);
      }),
    );
  examples(command, "creel down", "creel down --project shop");
}
