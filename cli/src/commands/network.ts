import type { Command } from "commander";
import { type Context, each, filters, pairs } from "../context.ts";
import { table } from "../output/table.ts";
import { short } from "../output/words.ts";
import type { Bind } from "../program.ts";
import { list } from "./options.ts";

interface Network {
  Id: string;
  Name: string;
  Driver: string;
  Scope: string;
}
interface CreateOptions {
  driver?: string;
  subnet?: string[];
  gateway?: string[];
  ipRange?: string[];
  label?: string[];
  opt?: string[];
  attachable?: boolean;
  internal?: boolean;
}

/** `creel network …` */
export function networkCommands(program: Command, bind: Bind): void {
  const network = program.command("network").description("networks between containers");
  network
    .command("ls")
    .description("list networks")
    .option("-q, --quiet", "only ids")
    .option("--no-trunc", "whole ids")
    .option("-f, --filter <filter>", "driver, id, label, name, scope, type", list)
    .action(bind(ls));
  network
    .command("create")
    .description("make a network")
    .argument("<name>")
    .option("-d, --driver <driver>", "bridge or overlay", "bridge")
    .option("--subnet <cidr>", "its addresses", list)
    .option("--gateway <address>", "the gateway's address", list)
    .option("--ip-range <cidr>", "where containers' addresses are taken from", list)
    .option("--label <key=value>", "a label", list)
    .option("-o, --opt <key=value>", "an option of the driver", list)
    .option("--attachable", "containers may join an overlay by hand")
    .option("--internal", "no way out")
    .action(bind(create));
  network
    .command("inspect")
    .description("all that is known of networks, as JSON")
    .argument("<network...>")
    .action(
      bind(async ({ client, print }: Context, names: string[]) => {
        const found: unknown[] = [];
        for (const name of names) found.push(await client.get(`/networks/${encodeURIComponent(name)}`));
        print(JSON.stringify(found, undefined, 4));
      }),
    );
  network
    .command("rm")
    .description("remove networks")
    .argument("<network...>")
    .action(
      bind((context: Context, names: string[]) =>
        each(context, names, async (name) => {
          await context.client.delete(`/networks/${encodeURIComponent(name)}`);
          return name;
        }),
      ),
    );
}

async function ls(
  { client, print }: Context,
  o: { quiet?: boolean; trunc: boolean; filter?: string[] },
): Promise<void> {
  const networks = await client.get<Network[]>("/networks", filters(o.filter));
  const id = (network: Network) => (o.trunc ? short(network.Id) : network.Id);
  networks.sort((a, b) => (a.Name < b.Name ? -1 : 1));
  if (o.quiet) {
    for (const network of networks) print(id(network));
    return;
  }
  const rows = networks.map((network) => [id(network), network.Name, network.Driver, network.Scope]);
  print(table([["NETWORK ID", "NAME", "DRIVER", "SCOPE"], ...rows]));
}

async function create({ client, print }: Context, name: string, o: CreateOptions): Promise<void> {
  const config = (o.subnet ?? []).map((subnet, i) => ({
    Subnet: subnet,
    ...(o.gateway?.[i] && { Gateway: o.gateway[i] }),
    ...(o.ipRange?.[i] && { IPRange: o.ipRange[i] }),
  }));
  const { Id } = await client.post<{ Id: string }>("/networks/create", undefined, {
    Name: name,
    Driver: o.driver,
    Attachable: o.attachable ?? false,
    Internal: o.internal ?? false,
    Labels: pairs(o.label),
    Options: pairs(o.opt),
    IPAM: { Driver: "default", Config: config },
  });
  print(Id);
}
