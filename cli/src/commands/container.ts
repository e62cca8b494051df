import type { Command } from "commander";
import { type Context, each, filters } from "../context.ts";
import { table } from "../output/table.ts";
import { ago, short } from "../output/words.ts";
import type { Bind } from "../program.ts";
import { demultiplex } from "../rest/frames.ts";
import { createBody } from "./create-body.ts";
import { list, whole } from "./options.ts";
import { attach, type RunOptions, run, runOptions, start } from "./run.ts";

interface Container {
  Id: string;
  Names: string[];
  Image: string;
  Command: string;
  Created: number;
  Status: string;
  Ports: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[];
}
interface LogOptions {
  follow?: boolean;
  timestamps?: boolean;
  tail: string;
  since?: string;
  until?: string;
}

/** `creel container …` */
export function containerCommands(program: Command, bind: Bind): void {
  const container = program.command("container").description("containers on this node");
  addLs(container.command("ls"), bind);
  addAll(container, bind);
  container
    .command("inspect")
    .description("all that is known of containers, as JSON")
    .argument("<container...>")
    .action(bind(inspect));
}

/** `creel ps`, `run`, `start`, … */
export function containerShortcuts(program: Command, bind: Bind): void {
  addLs(program.command("ps"), bind);
  addAll(program, bind);
  program
    .command("inspect")
    .description("all that is known of a container, image, network, node, service or task, as JSON")
    .argument("<name...>")
    .action(bind(inspectAny));
}

function addLs(command: Command, bind: Bind): void {
  command
    .description("list containers")
    .option("-a, --all", "also those that do not run")
    .option("-q, --quiet", "only ids")
    .option("-n, --last <n>", "the n made last", whole)
    .option("--no-trunc", "whole ids and commands")
    .option("-f, --filter <filter>", "id, name, label, status, ancestor, network, exited", list)
    .action(bind(ls));
}

function addAll(parent: Command, bind: Bind): void {
  runOptions(parent.command("run"))
    .description("make a container and run it")
    .option("-d, --detach", "leave it running and print its id")
    .action(bind(run));
  runOptions(parent.command("create")).description("make a container").action(bind(create));
  parent
    .command("start")
    .description("start containers")
    .argument("<container...>")
    .option("-a, --attach", "show what it writes, and end with its status")
    .option("-i, --interactive", "and hand it standard input")
    .action(bind(start));
  parent
    .command("attach")
    .description("join a running container's input and output")
    .argument("<container>")
    .option("--no-stdin", "output only")
    .option("--detach-keys <keys>", "the keys that leave it running")
    .action(bind(attach));
  simple(parent, bind, "stop", "stop containers: the stop signal, then SIGKILL", (command) =>
    command
      .option("-t, --time <seconds>", "between the two", whole)
      .option("-s, --signal <signal>", "instead of the container's own"),
  );
  simple(parent, bind, "kill", "send containers a signal", (command) =>
    command.option("-s, --signal <signal>", "which", "SIGKILL"),
  );
  parent
    .command("rm")
    .description("remove containers")
    .argument("<container...>")
    .option("-f, --force", "also a running one: it is killed")
    .option("-v, --volumes", "with its anonymous volumes")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean; volumes?: boolean }) =>
        each(context, names, async (name) => {
          await context.client.delete(`/containers/${encodeURIComponent(name)}`, {
            force: o.force,
            v: o.volumes,
          });
          return name;
        }),
      ),
    );
  parent
    .command("wait")
    .description("wait for containers to end, and print their exit codes")
    .argument("<container...>")
    .action(
      bind((context: Context, names: string[]) =>
        each(context, names, async (name) => {
          const { StatusCode } = await context.client.post<{ StatusCode: number }>(
            `/containers/${encodeURIComponent(name)}/wait`,
          );
          return String(StatusCode);
        }),
      ),
    );
  parent
    .command("logs")
    .description("what a container wrote")
    .argument("<container>")
    .option("-f, --follow", "go on as more is written")
    .option("-t, --timestamps", "with the time of each line")
    .option("-n, --tail <lines>", "only the last lines", "all")
    .option("--since <time>", "only what was written from then on")
    .option("--until <time>", "only what was written until then")
    .action(bind(logs));
}

function simple(
  parent: Command,
  bind: Bind,
  verb: string,
  description: string,
  options: (command: Command) => Command,
): void {
  options(parent.command(verb).description(description).argument("<container...>")).action(
    bind((context: Context, names: string[], o: { time?: number; signal?: string }) =>
      each(context, names, async (name) => {
        await context.client.post(`/containers/${encodeURIComponent(name)}/${verb}`, {
          t: o.time,
          signal: o.signal,
        });
        return name;
      }),
    ),
  );
}

async function ls(
  { client, print }: Context,
  o: { all?: boolean; quiet?: boolean; last?: number; trunc: boolean; filter?: string[] },
): Promise<void> {
  const containers = await client.get<Container[]>("/containers/json", {
    all: o.all || o.last !== undefined,
    limit: o.last,
    ...filters(o.filter),
  });
  const id = (container: Container) => (o.trunc ? short(container.Id) : container.Id);
  if (o.quiet) {
    for (const container of containers) print(id(container));
    return;
  }
  const rows = containers.map((container) => {
    const command =
      o.trunc && container.Command.length > 20 ? `${container.Command.slice(0, 19)}…` : container.Command;
    const ports = container.Ports.map((p) =>
      p.PublicPort ? `${p.IP}:${p.PublicPort}->${p.PrivatePort}/${p.Type}` : `${p.PrivatePort}/${p.Type}`,
    );
    const names = container.Names.map((name) => name.replace(/^\//, "")).join(",");
    return [
      id(container),
      container.Image,
      `"${command}"`,
      ago(container.Created),
      container.Status,
      ports.join(", "),
      names,
    ];
  });
  print(table([["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"], ...rows]));
}

async function create(
  { client, print, warn }: Context,
  image: string,
  command: string[],
  o: RunOptions,
): Promise<void> {
  const made = await client.post<{ Id: string; Warnings: string[] | null }>(
    "/containers/create",
    { name: o.name },
    createBody(image, command, o),
  );
  for (const warning of made.Warnings ?? []) warn(`WARNING: ${warning}`);
  print(made.Id);
}

async function logs({ client }: Context, name: string, o: LogOptions): Promise<void> {
  const path = `/containers/${encodeURIComponent(name)}`;
  const { Config } = await client.get<{ Config: { Tty: boolean } }>(`${path}/json`);
  const query = {
    stdout: true,
    stderr: true,
    follow: o.follow,
    timestamps: o.timestamps,
    tail: o.tail,
    since: o.since,
    until: o.until,
  };
  const stream = await client.stream("GET", `${path}/logs`, query);
  if (!Config.Tty) return demultiplex(stream, process.stdout, process.stderr);
  for await (const chunk of stream) process.stdout.write(chunk as Buffer);
}

async function inspect({ client, print }: Context, names: string[]): Promise<void> {
  const found: unknown[] = [];
  for (const name of names) found.push(await client.get(`/containers/${encodeURIComponent(name)}/json`));
  print(JSON.stringify(found, undefined, 4));
}

const KINDS = [
  "/containers/{}/json",
  "/images/{}/json",
  "/networks/{}",
  "/services/{}",
  "/nodes/{}",
  "/tasks/{}",
];

async function inspectAny({ client, print }: Context, names: string[]): Promise<void> {
  const found: unknown[] = [];
  for (const name of names) found.push(await firstOf(client, name));
  print(JSON.stringify(found, undefined, 4));
}

async function firstOf(client: Context["client"], name: string): Promise<unknown> {
  for (const kind of KINDS) {
    try {
      return await client.get(kind.replace("{}", encodeURIComponent(name)));
    } catch (error) {
      const status = (error as { status?: number }).status;
      if (status !== 404 && status !== 503) throw error;
    }
  }
  throw new Error(`No such object: ${name}`);
}
