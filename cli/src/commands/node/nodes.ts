import { type Command, Option } from "commander";
import { type Context, each } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import type { Bind } from "../../program.ts";
import { list } from "../options.ts";
import { printTasks, type TaskListOptions, taskListOptions } from "../service/tasks.ts";
import { examples, pairs } from "../words.ts";
import { find, type NodeSpec } from "./find.ts";

interface UpdateOptions {
  availability?: string;
  role?: string;
  labelAdd?: string[];
  labelRm?: string[];
}

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<node...>")).action(
    bind((context: Context, names: string[], o: InspectOptions) =>
      inspectEach(context, names, o, (name) => find(context, name)),
    ),
  );
  examples(command, "creel node inspect self", "creel node inspect -f '{{.Status.Addr}}' node2");
}

export function update(command: Command, bind: Bind): void {
  command
    .argument("<node>")
    .addOption(new Option("--availability <state>", "what it may run").choices(["active", "pause", "drain"]))
    .addOption(new Option("--role <role>", "what it is").choices(["worker", "manager"]))
    .option("--label-add <key=value>", "add or change a label", list)
    .option("--label-rm <key>", "remove a label", list)
    .action(
      bind(async (context: Context, name: string, o: UpdateOptions) => {
        await change(context, name, (spec) => changed(spec, o));
        context.print(name);
      }),
    );
  examples(
    command,
    "creel node update --availability drain node2",
    "creel node update --label-add zone=a node2",
  );
}

function changed(spec: NodeSpec, o: UpdateOptions): NodeSpec {
  const labels = { ...spec.Labels, ...pairs(o.labelAdd) };
  for (const key of o.labelRm ?? []) {
    if (labels[key] === undefined) throw invalid(`key ${key} doesn't exist in node's labels`);
    delete labels[key];
  }
  return {
    ...spec,
    Labels: labels,
    Role: o.role ?? spec.Role,
    Availability: o.availability ?? spec.Availability,
  };
}

export const promote = (command: Command, bind: Bind) =>
  role(command, bind, "manager", "promoted to a manager");
export const demote = (command: Command, bind: Bind) => role(command, bind, "worker", "demoted");

function role(command: Command, bind: Bind, wanted: string, done: string): void {
  command.argument("<node...>").action(
    bind((context: Context, names: string[]) =>
      each(context, names, async (name) => {
        const already = !(await change(context, name, (spec) => ({ ...spec, Role: wanted })));
        return already ? `Node ${name} is already a ${wanted}.` : `Node ${name} ${done} in the swarm.`;
      }),
    ),
  );
  examples(command, `creel node ${command.name()} node2`);
}

export function rm(command: Command, bind: Bind): void {
  command
    .argument("<node...>")
    .option("-f, --force", "also one that is not down")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean }) =>
        each(context, names, async (name) => {
          await context.client.delete(`/nodes/${(await find(context, name)).ID}`, { force: o.force });
          return name;
        }),
      ),
    );
  examples(command, "creel node rm node3");
}

export function ps(command: Command, bind: Bind): void {
  taskListOptions(command.argument("[node...]")).action(
    bind(async (context: Context, names: string[], o: TaskListOptions) => {
      const ids: string[] = [];
      for (const name of names.length > 0 ? names : ["self"]) ids.push((await find(context, name)).ID);
      await printTasks(context, { node: ids }, o);
    }),
  );
  examples(command, "creel node ps node2", "creel node ps --filter desired-state=running");
}

/** Whether there was something to change. */
export async function change(
  context: Context,
  name: string,
  edit: (spec: NodeSpec) => NodeSpec,
): Promise<boolean> {
  const node = await find(context, name);
  const spec = edit(node.Spec);
  if (JSON.stringify(spec) === JSON.stringify(node.Spec)) return false;
  await context.client.post(`/nodes/${node.ID}/update`, { version: node.Version.Index }, spec);
  return true;
}
