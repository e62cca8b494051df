import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, labelFields, listing, listOptions, type View } from "../../output/listing.ts";
import { ago } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples, filterOption, filters } from "../words.ts";
import type { DataKind, DataObject } from "./kinds.ts";

const view: View<DataObject> = {
  fields: {
    ID: (it) => it.ID,
    Name: (it) => it.Spec.Name,
    Driver: () => "",
    CreatedAt: (it) => ago(it.CreatedAt),
    UpdatedAt: (it) => ago(it.UpdatedAt),
    ...labelFields<DataObject>((it) => it.Spec.Labels),
  },
  headings: { ID: "ID", Name: "NAME", Driver: "DRIVER", CreatedAt: "CREATED", UpdatedAt: "UPDATED" },
  columns: ["ID", "Name", "CreatedAt", "UpdatedAt"],
  rigid: ["ID"],
};

export const ls = (kind: DataKind) => (command: Command, bind: Bind) => {
  listOptions(filterOption(command, "id, label, name"), { trunc: false }).action(
    bind(async ({ client, print }: Context, o: ListOptions & { filter?: string[] }) => {
      const found = await client.get<DataObject[]>(`/${kind}s`, filters(o.filter));
      found.sort((a, b) => (a.Spec.Name < b.Spec.Name ? -1 : 1));
      for (const line of await listing(found, view, { ...o, trunc: false })) print(line);
    }),
  );
  examples(command, `creel ${kind} ls --filter label=team=shop`, `creel ${kind} ls --format '{{.Name}}'`);
};
