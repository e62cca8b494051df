import type { Command } from "commander";
import { type Context, each, filters, pairs } from "../context.ts";
import { table } from "../output/table.ts";
import type { Bind } from "../program.ts";
import { list } from "./options.ts";
import { printTasks } from "./tasks.ts";

interface NodeSpec {
  Name?: string;
  Labels: Record<string, string>;
  Role: string;
  Availability: string;
}
interface Node {
  ID: string;
  Version: { Index: number };
  Spec: NodeSpec;
  Description: { Hostname: string; Engine: { EngineVersion: string } };
  Status: { State: string };
  ManagerStatus?: { Leader?: boolean; Reachability: string };
}
interface UpdateOptions {
  availability?: string;
  role?: string;
  labelAdd?: string[];
  labelRm?: string[];
}

/** `creel node …` */
export function nodeCommands(program: Command, bind: Bind): void {
  const node = program.command("node").description("the cluster's nodes");
  node
    .command("ls")
    .description("list nodes")
    .option("-q, --quiet", "only ids")
    .option("-f, --filter <filter>", "id, label, membership, name, role", list)
    .action(bind(ls));
  node
    .command("inspect")
    .description("all that is known of nodes, as JSON")
    .argument("<node...>")
    .action(bind(inspect));
  node
    .command("update")
    .description("change a node's role, availability or labels")
    .argument("<node>")
    .option("--availability <state>", "active, pause or drain")
    .option("--role <role>", "worker or manager")
    .option("--label-add <key=value>", "add or change a label", list)
    .option("--label-rm <key>", "remove a label", list)
    .action(bind(update));
  for (const [name, role] of [
    ["promote", "manager"],
    ["demote", "worker"],
  ] as const) {
    node
      .command(name)
      .description(`make nodes ${role}s`)
      .argument("<node...>")
      .action(
        bind((context: Context, names: string[]) =>
          each(context, names, async (each) => {
            await change(context, each, (spec) => ({ ...spec, Role: role }));
            return `Node ${each} ${name}d in the swarm.`;
          }),
        ),
      );
  }
  node
    .command("rm")
    .description("remove nodes that are down from the cluster")
    .argument("<node...>")
    .option("-f, --force", "also one that is not down")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean }) =>
        each(context, names, async (name) => {
          await context.client.delete(`/nodes/${await idOf(context, name)}`, { force: o.force });
          return name;
        }),
      ),
    );
  node
    .command("ps")
    .description("list the tasks on nodes (default: this one)")
    .argument("[node...]")
    .option("-q, --quiet", "only ids")
    .option("--no-trunc", "whole ids")
    .action(bind(ps));
}

async function ls(context: Context, o: { quiet?: boolean; filter?: string[] }): Promise<void> {
  const { client, print } = context;
  const nodes = await client.get<Node[]>("/nodes", filters(o.filter));
  if (o.quiet) {
    for (const node of nodes) print(node.ID);
    return;
  }
  const self = await selfId(context);
  const rows = nodes
    .sort((a, b) => (a.Description.Hostname < b.Description.Hostname ? -1 : 1))
    .map((node) => [
      `${node.ID}${node.ID === self ? " *" : ""}`,
      node.Description.Hostname,
      title(node.Status.State),
      title(node.Spec.Availability),
      node.ManagerStatus
        ? node.ManagerStatus.Leader
          ? "Leader"
          : title(node.ManagerStatus.Reachability)
        : "",
      node.Description.Engine.EngineVersion,
    ]);
  print(table([["ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ENGINE VERSION"], ...rows]));
}

async function inspect(context: Context, names: string[]): Promise<void> {
  const nodes: Node[] = [];
  for (const name of names) nodes.push(await find(context, name));
  context.print(JSON.stringify(nodes, undefined, 4));
}

async function update(context: Context, name: string, o: UpdateOptions): Promise<void> {
  await change(context, name, (spec) => {
    const labels = { ...spec.Labels, ...pairs(o.labelAdd) };
    for (const key of o.labelRm ?? []) delete labels[key];
    return {
      ...spec,
      Labels: labels,
      Role: o.role ?? spec.Role,
      Availability: o.availability ?? spec.Availability,
    };
  });
  context.print(name);
}

async function ps(context: Context, names: string[], o: { quiet?: boolean; trunc: boolean }): Promise<void> {
  const ids: string[] = [];
  for (const name of names.length > 0 ? names : ["self"]) ids.push(await idOf(context, name));
  await printTasks(context, { node: ids }, o);
}

async function change(context: Context, name: string, edit: (spec: NodeSpec) => NodeSpec): Promise<void> {
  const node = await find(context, name);
  await context.client.post(`/nodes/${node.ID}/update`, { version: node.Version.Index }, edit(node.Spec));
}

async function find(context: Context, name: string): Promise<Node> {
  return await context.client.get<Node>(
    `/nodes/${encodeURIComponent(name === "self" ? await selfId(context) : name)}`,
  );
}

async function idOf(context: Context, name: string): Promise<string> {
  return (await find(context, name)).ID;
}

async function selfId({ client }: Context): Promise<string> {
  return (await client.get<{ Swarm: { NodeID: string } }>("/info")).Swarm.NodeID;
}

function title(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
