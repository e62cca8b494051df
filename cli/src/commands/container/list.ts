import type { Command } from "commander";
import type { Context } from "../../context.ts";
import {
  type ListOptions,
  labelFields,
  listing,
  listOptions,
  shorten,
  type View,
} from "../../output/listing.ts";
import { ago, bytes, short } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { whole } from "../options.ts";
import { examples, filterOption, filters } from "../words.ts";
import { type Port, portsText } from "./ports.ts";

interface Container {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  Command: string;
  Created: number;
  State: string;
  Status: string;
  Ports: Port[];
  Labels: Record<string, string> | null;
  Mounts?: { Name?: string; Source: string }[];
  NetworkSettings?: { Networks?: Record<string, unknown> };
  SizeRw?: number;
  SizeRootFs?: number;
}
interface LsOptions extends ListOptions {
  all?: boolean;
  last?: number;
  latest?: boolean;
  size?: boolean;
  filter?: string[];
}

/** `creel ps` */
export function ls(command: Command, bind: Bind): void {
  listOptions(
    filterOption(command, "id, name, label, status, ancestor, network, volume, exited, before, since"),
  )
    .option("-a, --all", "also those that do not run")
    .option("-n, --last <n>", "the n made last", whole)
    .option("-l, --latest", "the one made last")
    .option("-s, --size", "with sizes")
    .action(bind(run));
  examples(
    command,
    "creel ps -a --filter status=exited",
    "creel ps --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'",
    "creel rm $(creel ps -aq)",
  );
}

async function run({ client, print }: Context, o: LsOptions): Promise<void> {
  const last = o.latest ? 1 : o.last;
  const containers = await client.get<Container[]>("/containers/json", {
    all: o.all || last !== undefined,
    limit: last,
    size: o.size,
    ...filters(o.filter),
  });
  for (const line of await listing(containers, view(o), o)) print(line);
}

function view(o: LsOptions): View<Container> {
  const names = (it: Container) => it.Names.map((name) => name.replace(/^\//, "")).join(",");
  return {
    fields: {
      ID: (it) => (o.trunc === false ? it.Id : short(it.Id)),
      Names: names,
      Image: (it) => (o.trunc !== false && it.Image === it.ImageID ? short(it.Image) : it.Image),
      Command: (it) => `"${shorten(it.Command, 20, o)}"`,
      CreatedAt: (it) =>
        new Date(it.Created * 1000)
          .toISOString()
          .replace("T", " ")
          .replace(/\.\d+Z/, " +0000 UTC"),
      RunningFor: (it) => ago(it.Created),
      Ports: (it) => portsText(it.Ports),
      State: (it) => it.State,
      Status: (it) => it.Status,
      Size: (it) =>
        it.SizeRw === undefined && it.SizeRootFs === undefined
          ? "0B"
          : `${bytes(it.SizeRw ?? 0)}${it.SizeRootFs ? ` (virtual ${bytes(it.SizeRootFs)})` : ""}`,
      Mounts: (it) => (it.Mounts ?? []).map((mount) => shorten(mount.Name || mount.Source, 15, o)).join(","),
      Networks: (it) => Object.keys(it.NetworkSettings?.Networks ?? {}).join(","),
      LocalVolumes: (it) => String((it.Mounts ?? []).filter((mount) => mount.Name).length),
      ...labelFields<Container>((it) => it.Labels),
    },
    headings: {
      ID: "CONTAINER ID",
      Image: "IMAGE",
      Command: "COMMAND",
      CreatedAt: "CREATED AT",
      RunningFor: "CREATED",
      Status: "STATUS",
      Ports: "PORTS",
      Names: "NAMES",
      Size: "SIZE",
      LocalVolumes: "LOCAL VOLUMES",
    },
    columns: [
      "ID",
      "Image",
      "Command",
      "RunningFor",
      "Status",
      "Ports",
      "Names",
      ...(o.size ? ["Size"] : []),
    ],
    rigid: ["ID", "RunningFor", "Status", "Size"],
  };
}
