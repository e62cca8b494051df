import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, listing, listOptions, shorten, type View } from "../../output/listing.ts";
import { ago, bytes, short } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples, filterOption, filters } from "../words.ts";
import { imagePath, splitTag } from "./name.ts";

interface Image {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  Created: number;
  Size: number;
  Containers?: number;
}
type Row = Image & { repo: string; tag: string; digest: string };
interface LsOptions extends ListOptions {
  all?: boolean;
  digests?: boolean;
  filter?: string[];
}

/** `creel images` */
export function ls(command: Command, bind: Bind): void {
  listOptions(
    filterOption(command.argument("[repository]"), "dangling, label, reference, before, since, until"),
  )
    .option("-a, --all", "also those in between")
    .option("--digests", "with digests")
    .action(
      bind(async ({ client, print }: Context, repository: string | undefined, o: LsOptions) => {
        const query = filters(o.filter, repository === undefined ? {} : { reference: [repository] });
        const images = await client.get<Image[]>("/images/json", { all: o.all, ...query });
        const rows = images
          .sort((a, b) => b.Created - a.Created)
          .flatMap(o.quiet && !o.format ? plain : named);
        for (const line of await listing(rows, view(o), o)) print(line);
      }),
    );
  examples(
    command,
    "creel images",
    "creel images --filter dangling=true -q",
    "creel images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
  );
}

function plain(image: Image): Row[] {
  return [{ ...image, repo: "<none>", tag: "<none>", digest: "<none>" }];
}

function named(image: Image): Row[] {
  const digest = image.RepoDigests?.[0]?.split("@")[1] ?? "<none>";
  const names = image.RepoTags?.filter((name) => name !== "<none>:<none>") ?? [];
  if (names.length === 0) {
    const repo = image.RepoDigests?.[0]?.split("@")[0] ?? "<none>";
    return [{ ...image, repo, tag: "<none>", digest }];
  }
  return names.map((name) => {
    const { repo, tag } = splitTag(name);
    return { ...image, repo, tag: tag ?? "<none>", digest };
  });
}

function view(o: LsOptions): View<Row> {
  return {
    fields: {
      ID: (it) => (o.trunc === false ? it.Id : short(it.Id)),
      Repository: (it) => it.repo,
      Tag: (it) => it.tag,
      Digest: (it) => it.digest,
      CreatedSince: (it) => ago(it.Created),
      CreatedAt: (it) =>
        new Date(it.Created * 1000)
          .toISOString()
          .replace("T", " ")
          .replace(/\.\d+Z/, " +0000 UTC"),
      Size: (it) => bytes(it.Size),
      VirtualSize: (it) => bytes(it.Size),
      Containers: (it) => (it.Containers === undefined || it.Containers < 0 ? "N/A" : String(it.Containers)),
    },
    headings: {
      ID: "IMAGE ID",
      Repository: "REPOSITORY",
      Tag: "TAG",
      Digest: "DIGEST",
      CreatedSince: "CREATED",
      CreatedAt: "CREATED AT",
      Size: "SIZE",
    },
    columns: ["Repository", "Tag", ...(o.digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"],
    rigid: ["ID", "CreatedSince", "Size"],
  };
}

interface Step {
  Id: string;
  Created: number;
  CreatedBy: string;
  Size: number;
  Comment: string;
}

/** `creel history` */
export function history(command: Command, bind: Bind): void {
  listOptions(command.argument("<image>")).action(
    bind(async ({ client, print }: Context, name: string, o: ListOptions) => {
      const steps = await client.get<Step[]>(imagePath(name, "history"));
      const id = (text: string) => (o.trunc === false ? text : short(text));
      const view: View<Step> = {
        fields: {
          ID: (it) => id(it.Id),
          CreatedSince: (it) => ago(it.Created),
          CreatedAt: (it) => new Date(it.Created * 1000).toISOString(),
          CreatedBy: (it) => shorten(it.CreatedBy.replaceAll("\t", " "), 45, o),
          Size: (it) => bytes(it.Size),
          Comment: (it) => it.Comment,
        },
        headings: {
          ID: "IMAGE",
          CreatedSince: "CREATED",
          CreatedAt: "CREATED AT",
          CreatedBy: "CREATED BY",
          Size: "SIZE",
          Comment: "COMMENT",
        },
        columns: ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"],
      };
      for (const line of await listing(steps, view, o)) print(line);
    }),
  );
  examples(command, "creel history --no-trunc whoami");
}
