import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, labelFields, listing, listOptions, type View } from "../../output/listing.ts";
import { short } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples, filterOption, filters } from "../words.ts";

interface Network {
  Id: string;
  Name: string;
  Created: string;
  Driver: string;
  Scope: string;
  Internal: boolean;
  EnableIPv6: boolean;
  Labels: Record<string, string> | null;
}

export function ls(command: Command, bind: Bind): void {
  listOptions(filterOption(command, "driver, id, label, name, scope, type, dangling")).action(
    bind(async ({ client, print }: Context, o: ListOptions & { filter?: string[] }) => {
      const networks = await client.get<Network[]>("/networks", filters(o.filter));
      networks.sort((a, b) => (a.Name < b.Name ? -1 : 1));
      for (const line of await listing(networks, view(o), o)) print(line);
    }),
  );
  examples(
    command,
    "creel network ls --filter driver=overlay",
    "creel network ls --format '{{.Name}} {{.Scope}}'",
  );
}

function view(o: ListOptions): View<Network> {
  return {
    fields: {
      ID: (it) => (o.trunc === false ? it.Id : short(it.Id)),
      Name: (it) => it.Name,
      Driver: (it) => it.Driver,
      Scope: (it) => it.Scope,
      IPv4: () => "true",
      IPv6: (it) => String(it.EnableIPv6),
      Internal: (it) => String(it.Internal),
      CreatedAt: (it) => it.Created,
      ...labelFields<Network>((it) => it.Labels),
    },
    headings: { ID: "NETWORK ID", Name: "NAME", Driver: "DRIVER", Scope: "SCOPE", CreatedAt: "CREATED AT" },
    columns: ["ID", "Name", "Driver", "Scope"],
    rigid: ["ID", "Driver", "Scope"],
  };
}
