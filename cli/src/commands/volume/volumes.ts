import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import { type ListOptions, labelFields, listing, listOptions, type View } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { list } from "../options.ts";
import { pruned } from "../prune.ts";
import { at, examples, filterOption, filters, pairs } from "../words.ts";

interface Volume {
  Name: string;
  Driver: string;
  Mountpoint: string;
  Scope: string;
  Labels: Record<string, string> | null;
}

const view: View<Volume> = {
  fields: {
    Name: (it) => it.Name,
    Driver: (it) => it.Driver,
    Mountpoint: (it) => it.Mountpoint,
    Scope: (it) => it.Scope,
    Status: () => "N/A",
    Availability: () => "N/A",
    Group: () => "N/A",
    Links: () => "N/A",
    Size: () => "N/A",
    ...labelFields<Volume>((it) => it.Labels),
  },
  headings: { Driver: "DRIVER", Name: "VOLUME NAME", Scope: "SCOPE", Mountpoint: "MOUNTPOINT" },
  columns: ["Driver", "Name"],
  quiet: "Name",
};

export function ls(command: Command, bind: Bind): void {
  listOptions(filterOption(command, "dangling, driver, label, name"), {
    trunc: false,
    quiet: "only names",
  }).action(
    bind(async ({ client, print }: Context, o: ListOptions & { filter?: string[] }) => {
      const { Volumes } = await client.get<{ Volumes: Volume[] | null }>("/volumes", filters(o.filter));
      const volumes = (Volumes ?? []).sort((a, b) => (a.Name < b.Name ? -1 : 1));
      for (const line of await listing(volumes, view, { ...o, trunc: false })) print(line);
    }),
  );
  examples(command, "creel volume ls -q --filter dangling=true");
}

export function create(command: Command, bind: Bind): void {
  command
    .argument("[name]")
    .option("-d, --driver <driver>", "the volume driver", "local")
    .option("--label <key=value>", "a label", list)
    .option("-o, --opt <key=value>", "an option of the driver", list)
    .action(
      bind(
        async (
          { client, print }: Context,
          name: string | undefined,
          o: { driver: string; label?: string[]; opt?: string[] },
        ) => {
          const body = {
            Name: name ?? "",
            Driver: o.driver,
            Labels: pairs(o.label),
            DriverOpts: pairs(o.opt),
          };
          print((await client.post<Volume>("/volumes/create", undefined, body)).Name);
        },
      ),
    );
  examples(command, "creel volume create data", "creel run -v data:/data busybox touch /data/a");
}

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<volume...>")).action(
    bind((context: Context, names: string[], o: InspectOptions) =>
      inspectEach(context, names, o, (name) => context.client.get(at("volumes", name))),
    ),
  );
  examples(command, "creel volume inspect -f '{{.Mountpoint}}' data");
}

export function rm(command: Command, bind: Bind): void {
  command
    .argument("<volume...>")
    .option("-f, --force", "no error when there is none")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean }) =>
        each(context, names, async (name) => {
          await context.client.delete(at("volumes", name), { force: o.force });
          return name;
        }),
      ),
    );
  examples(command, "creel volume rm data");
}

export function prune(command: Command, bind: Bind): void {
  pruned(command, bind, {
    path: "/volumes/prune",
    warning: "This removes the volumes without a name that no container uses.",
    filters: "label",
    all: { all: ["true"] },
    removed: (reply) => (reply.VolumesDeleted as string[] | null) ?? [],
  });
}
