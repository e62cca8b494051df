import type { Command } from "commander";
import { type Context, filters } from "../context.ts";
import { bytes } from "../output/words.ts";
import type { Bind } from "../program.ts";
import { jsonLines } from "../rest/client.ts";
import { list } from "./options.ts";

interface Version {
  Version: string;
  ApiVersion: string;
  MinAPIVersion: string;
  Os: string;
  Arch: string;
  KernelVersion: string;
}
interface Info {
  Name: string;
  ServerVersion: string;
  Containers: number;
  ContainersRunning: number;
  Images: number;
  Driver: string;
  CgroupDriver: string;
  CgroupVersion: string;
  KernelVersion: string;
  OperatingSystem: string;
  NCPU: number;
  MemTotal: number;
  DockerRootDir: string;
  Warnings: string[] | null;
  Swarm: {
    LocalNodeState: string;
    NodeID: string;
    NodeAddr: string;
    ControlAvailable: boolean;
    Nodes?: number;
    Managers?: number;
  };
}
interface Event {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  timeNano: number;
}

/** `creel version`, `info`, `events` */
export function systemCommands(program: Command, bind: Bind): void {
  program.command("version").description("versions of this command and of the daemon").action(bind(version));
  program.command("info").description("the daemon, its machine and its cluster").action(bind(info));
  program
    .command("events")
    .description("what happens, as it happens")
    .option("--since <time>", "also what happened from then on")
    .option("--until <time>", "until then")
    .option("-f, --filter <filter>", "type, event, container, image, service, node, network, label", list)
    .action(bind(events));
}

async function version({ client, print }: Context): Promise<void> {
  const daemon = await client.get<Version>("/version");
  print(`Client:\n Version:      0.1.0\n Node:         ${process.versions.node}\n`);
  print(
    `Server:\n Version:      ${daemon.Version}\n API version:  ${daemon.ApiVersion} (minimum ${daemon.MinAPIVersion})`,
  );
  print(` OS/Arch:      ${daemon.Os}/${daemon.Arch}\n Kernel:       ${daemon.KernelVersion}`);
}

async function info({ client, print, warn }: Context): Promise<void> {
  const it = await client.get<Info>("/info");
  const swarm = it.Swarm;
  const rows: [string, string | number][] = [
    ["Name", it.Name],
    ["Server Version", it.ServerVersion],
    ["Containers", `${it.Containers} (${it.ContainersRunning} running)`],
    ["Images", it.Images],
    ["Storage Driver", it.Driver],
    ["Cgroup", `${it.CgroupDriver}, version ${it.CgroupVersion}`],
    ["Swarm", swarm.LocalNodeState],
    ...(swarm.LocalNodeState === "active"
      ? ([
          ["  NodeID", swarm.NodeID],
          ["  Node Address", swarm.NodeAddr],
          ["  Is Manager", String(swarm.ControlAvailable)],
          ...(swarm.ControlAvailable ? [["  Managers / Nodes", `${swarm.Managers} / ${swarm.Nodes}`]] : []),
        ] as [string, string][])
      : []),
    ["Kernel Version", it.KernelVersion],
    ["Operating System", it.OperatingSystem],
    ["CPUs", it.NCPU],
    ["Total Memory", bytes(it.MemTotal)],
    ["Data Root", it.DockerRootDir],
  ];
  for (const [name, value] of rows) print(`${name}: ${value}`);
  for (const warning of it.Warnings ?? []) warn(warning);
}

async function events(
  { client, print }: Context,
  o: { since?: string; until?: string; filter?: string[] },
): Promise<void> {
  const stream = await client.stream("GET", "/events", {
    since: o.since,
    until: o.until,
    ...filters(o.filter),
  });
  for await (const event of jsonLines<Event>(stream)) {
    const attributes = Object.entries(event.Actor.Attributes)
      .map(([name, value]) => `${name}=${value}`)
      .join(", ");
    const time = new Date(event.timeNano / 1e6).toISOString();
    print(`${time} ${event.Type} ${event.Action} ${event.Actor.ID}${attributes && ` (${attributes})`}`);
  }
}
