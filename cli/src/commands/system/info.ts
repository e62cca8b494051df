import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { one } from "../../output/listing.ts";
import { binary } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples } from "../words.ts";

interface Info {
  ID: string;
  Name: string;
  ServerVersion: string;
  Containers: number;
  ContainersRunning: number;
  ContainersPaused: number;
  ContainersStopped: number;
  Images: number;
  Driver: string;
  DriverStatus: [string, string][] | null;
  LoggingDriver: string;
  CgroupDriver: string;
  CgroupVersion: string;
  Runtimes: Record<string, unknown>;
  DefaultRuntime: string;
  SecurityOptions: string[] | null;
  KernelVersion: string;
  OperatingSystem: string;
  OSType: string;
  Architecture: string;
  NCPU: number;
  MemTotal: number;
  DockerRootDir: string;
  Labels: string[] | null;
  Warnings: string[] | null;
  Swarm: {
    LocalNodeState: string;
    NodeID: string;
    NodeAddr: string;
    ControlAvailable: boolean;
    Error?: string;
    Nodes?: number;
    Managers?: number;
    RemoteManagers?: { Addr: string }[] | null;
    Cluster?: { ID: string };
  };
}

/** `creel info` */
export function info(command: Command, bind: Bind): void {
  command.option("-f, --format <format>", "json, or a Go template").action(
    bind(async ({ client, print, warn }: Context, o: { format?: string }) => {
      const it = await client.get<Info>("/info");
      if (o.format !== undefined) return print(await one(it, o.format));
      for (const [depth, name, value] of rows(it)) print(`${" ".repeat(depth)}${name}: ${value}`.trimEnd());
      for (const warning of it.Warnings ?? [])
        warn(warning.startsWith("WARNING") ? warning : `WARNING: ${warning}`);
    }),
  );
  examples(command, "creel info", "creel info -f '{{.Swarm.LocalNodeState}}'");
}

function rows(it: Info): [number, string, string | number][] {
  return [
    [0, "Server Version", it.ServerVersion],
    [0, "Name", it.Name],
    [0, "ID", it.ID],
    [0, "Containers", it.Containers],
    [1, "Running", it.ContainersRunning],
    [1, "Paused", it.ContainersPaused],
    [1, "Stopped", it.ContainersStopped],
    [0, "Images", it.Images],
    [0, "Storage Driver", it.Driver],
    ...(it.DriverStatus ?? []).map(([name, value]): [number, string, string] => [1, name, value]),
    [0, "Logging Driver", it.LoggingDriver],
    [0, "Cgroup Driver", it.CgroupDriver],
    [0, "Cgroup Version", it.CgroupVersion],
    ...swarmRows(it.Swarm),
    [0, "Runtimes", Object.keys(it.Runtimes ?? {}).join(" ")],
    [0, "Default Runtime", it.DefaultRuntime],
    [0, "Security Options", (it.SecurityOptions ?? []).join(" ")],
    [0, "Kernel Version", it.KernelVersion],
    [0, "Operating System", it.OperatingSystem],
    [0, "OSType/Architecture", `${it.OSType}/${it.Architecture}`],
    [0, "CPUs", it.NCPU],
    [0, "Total Memory", binary(it.MemTotal)],
    [0, "Data Root", it.DockerRootDir],
    ...((it.Labels ?? []).length > 0
      ? ([[0, "Labels", it.Labels!.join(" ")]] as [number, string, string][])
      : []),
  ];
}

function swarmRows(swarm: Info["Swarm"]): [number, string, string | number][] {
  const found: [number, string, string | number][] = [[0, "Swarm", swarm.LocalNodeState]];
  if (swarm.LocalNodeState === "inactive") return found;
  found.push([1, "NodeID", swarm.NodeID]);
  if (swarm.Error) found.push([1, "Error", swarm.Error]);
  found.push([1, "Is Manager", String(swarm.ControlAvailable)]);
  if (swarm.ControlAvailable) {
    found.push([1, "ClusterID", swarm.Cluster?.ID ?? ""]);
    found.push([1, "Managers", swarm.Managers ?? 0], [1, "Nodes", swarm.Nodes ?? 0]);
  }
  found.push([1, "Node Address", swarm.NodeAddr]);
  found.push([1, "Manager Addresses", ""]);
  for (const { Addr } of swarm.RemoteManagers ?? []) found.push([2, "Manager", Addr]);
  return found;
}
