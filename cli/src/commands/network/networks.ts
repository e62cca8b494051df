import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import type { Bind } from "../../program.ts";
import { list } from "../options.ts";
import { pruned } from "../prune.ts";
import { at, examples, pairs } from "../words.ts";

interface CreateOptions {
  driver?: string;
  subnet?: string[];
  gateway?: string[];
  ipRange?: string[];
  label?: string[];
  opt?: string[];
  attachable?: boolean;
  internal?: boolean;
  ingress?: boolean;
}

export function create(command: Command, bind: Bind): void {
  command
    .argument("<name>")
    .option("-d, --driver <driver>", "bridge or overlay", "bridge")
    .option("--subnet <cidr>", "its addresses", list)
    .option("--gateway <address>", "the gateway's address", list)
    .option("--ip-range <cidr>", "where containers' addresses are taken from", list)
    .option("--label <key=value>", "a label", list)
    .option("-o, --opt <key=value>", "an option of the driver", list)
    .option("--attachable", "containers may join an overlay by hand")
    .option("--internal", "no way out")
    .option("--ingress", "the network that published ports of services go through")
    .action(bind(make));
  examples(
    command,
    "creel network create -d overlay --attachable app",
    "creel network create --subnet 10.9.0.0/24 back",
  );
}

async function make({ client, print }: Context, name: string, o: CreateOptions): Promise<void> {
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
    Ingress: o.ingress ?? false,
    Labels: pairs(o.label),
    Options: pairs(o.opt),
    IPAM: { Driver: "default", Config: config },
  });
  print(Id);
}

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<network...>"))
    .option("-v, --verbose", "with its services and their tasks")
    .action(
      bind((context: Context, names: string[], o: InspectOptions & { verbose?: boolean }) =>
        inspectEach(context, names, o, (name) =>
          context.client.get(at("networks", name), { verbose: o.verbose }),
        ),
      ),
    );
  examples(
    command,
    "creel network inspect app",
    "creel network inspect -f '{{(index .IPAM.Config 0).Subnet}}' app",
  );
}

export function rm(command: Command, bind: Bind): void {
  command.argument("<network...>").action(
    bind((context: Context, names: string[]) =>
      each(context, names, async (name) => {
        await context.client.delete(at("networks", name));
        return name;
      }),
    ),
  );
  examples(command, "creel network rm app");
}

export function connect(command: Command, bind: Bind): void {
  command
    .argument("<network>")
    .argument("<container>")
    .option("--alias <name>", "another name of the container there", list)
    .option("--ip <address>", "its address there")
    .action(
      bind(
        async (
          { client }: Context,
          network: string,
          container: string,
          o: { alias?: string[]; ip?: string },
        ) => {
          await client.post(at("networks", network, "connect"), undefined, {
            Container: container,
            EndpointConfig: {
              Aliases: o.alias ?? null,
              ...(o.ip && { IPAMConfig: { IPv4Address: o.ip } }),
            },
          });
        },
      ),
    );
  examples(command, "creel network connect --alias db back web");
}

export function disconnect(command: Command, bind: Bind): void {
  command
    .argument("<network>")
    .argument("<container>")
    .option("-f, --force", "also when the container does not run")
    .action(
      bind(async ({ client }: Context, network: string, container: string, o: { force?: boolean }) => {
        const body = { Container: container, Force: o.force ?? false };
        await client.post(at("networks", network, "disconnect"), undefined, body);
      }),
    );
  examples(command, "creel network disconnect back web");
}

export function prune(command: Command, bind: Bind): void {
  pruned(command, bind, {
    path: "/networks/prune",
    warning: "This removes the networks that no container uses.",
    filters: "label, until",
    removed: (reply) => (reply.NetworksDeleted as string[] | null) ?? [],
  });
}
