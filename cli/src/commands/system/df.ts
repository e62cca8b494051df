import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, listing, type View } from "../../output/listing.ts";
import { bytes } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples } from "../words.ts";

interface Usage {
  LayersSize: number;
  Images: { Size: number; Containers?: number; Id: string }[] | null;
  Containers: { SizeRw?: number; State: string; ImageID?: string }[] | null;
  Volumes: { UsageData?: { Size: number; RefCount: number } | null }[] | null;
}
interface Row {
  type: string;
  total: number;
  active: number;
  size: number;
  reclaimable: number;
}

/** `creel system df` */
export function df(command: Command, bind: Bind): void {
  command.option("--format <format>", "table, table TEMPLATE, json, or a Go template for each").action(
    bind(async ({ client, print }: Context, o: ListOptions) => {
      for (const line of await listing(rows(await client.get<Usage>("/system/df")), view, o)) print(line);
    }),
  );
  examples(command, "creel system df");
}

function rows(usage: Usage): Row[] {
  const containers = usage.Containers ?? [];
  const images = usage.Images ?? [];
  const volumes = usage.Volumes ?? [];
  const used = new Set(containers.map(({ ImageID }) => ImageID));
  const sum = <T>(items: T[], of: (item: T) => number) => items.reduce((total, item) => total + of(item), 0);
  const running = containers.filter(({ State }) => State === "running" || State === "paused");
  const inUse = images.filter((image) => used.has(image.Id));
  const bound = volumes.filter((volume) => (volume.UsageData?.RefCount ?? 0) > 0);
  const size = (volume: (typeof volumes)[number]) => Math.max(0, volume.UsageData?.Size ?? 0);
  const write = (container: (typeof containers)[number]) => container.SizeRw ?? 0;
  return [
    {
      type: "Images",
      total: images.length,
      active: inUse.length,
      size: usage.LayersSize,
      reclaimable: Math.max(0, usage.LayersSize - sum(inUse, (image) => image.Size)),
    },
    {
      type: "Containers",
      total: containers.length,
      active: running.length,
      size: sum(containers, write),
      reclaimable: sum(containers, write) - sum(running, write),
    },
    {
      type: "Local Volumes",
      total: volumes.length,
      active: bound.length,
      size: sum(volumes, size),
      reclaimable: sum(volumes, size) - sum(bound, size),
    },
  ];
}

const view: View<Row> = {
  fields: {
    Type: (it) => it.type,
    TotalCount: (it) => String(it.total),
    Active: (it) => String(it.active),
    Size: (it) => bytes(it.size),
    Reclaimable: (it) =>
      `${bytes(it.reclaimable)}${it.size > 0 ? ` (${Math.floor((100 * it.reclaimable) / it.size)}%)` : ""}`,
  },
  headings: { Type: "TYPE", TotalCount: "TOTAL", Active: "ACTIVE", Size: "SIZE", Reclaimable: "RECLAIMABLE" },
  columns: ["Type", "TotalCount", "Active", "Size", "Reclaimable"],
};
