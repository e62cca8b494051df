import { type Command, Option } from "commander";
import type { Context } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import type { Bind } from "../../program.ts";
import { duration, list, whole } from "../options.ts";
import { examples } from "../words.ts";
import { autolockText } from "./lock.ts";
import { type Settings, type Swarm, settingOptions, settled } from "./settings.ts";

interface Info {
  Swarm: { NodeAddr: string; RemoteManagers: { Addr: string; NodeID: string }[] | null; NodeID: string };
}

interface AddressOptions {
  advertiseAddr: string;
  listenAddr: string;
  dataPathAddr: string;
  availability: string;
}

interface InitOptions extends AddressOptions, Settings {
  dataPathPort: number;
  defaultAddrPool?: string[];
  defaultAddrPoolMaskLength?: number;
  forceNewCluster?: boolean;
}

function addressOptions(command: Command): Command {
  return command
    .option("--advertise-addr <address>", "where the others reach this node", "")
    .option("--listen-addr <address>", "where this node listens", "0.0.0.0:2377")
    .option("--data-path-addr <address>", "address for the traffic between containers", "")
    .addOption(
      new Option("--availability <state>", "what it may run")
        .choices(["active", "pause", "drain"])
        .default("active"),
    );
}

export function init(command: Command, bind: Bind): void {
  settingOptions(addressOptions(command))
    .option("--data-path-port <port>", "UDP port for the traffic between containers", whole, 0)
    .option("--default-addr-pool <cidr>", "where networks take their subnets from", list)
    .option("--default-addr-pool-mask-length <bits>", "how large each of those subnets is", whole)
    .option("--force-new-cluster", "a cluster of this manager alone, with all it knows: the others are lost")
    .action(bind(initialize));
  examples(command, "creel swarm init", "creel swarm init --advertise-addr 10.0.0.1");
}

export function join(command: Command, bind: Bind): void {
  addressOptions(command.argument("<host:port>"))
    .requiredOption("--token <token>", "the cluster's token for workers or for managers")
    .action(bind(enter));
  examples(command, "creel swarm join --token SWMTKN-1-… 10.0.0.1:2377");
}

export function joinToken(command: Command, bind: Bind): void {
  command
    .argument("<worker|manager>")
    .option("-q, --quiet", "only the token")
    .option("--rotate", "make a new one first; the old one stops working")
    .option(
      "--ttl <duration>",
      "with --rotate: how long the new one is good for (default: for ever)",
      duration,
    )
    .action(bind(showToken));
  examples(command, "creel swarm join-token worker", "creel swarm join-token --rotate --ttl 2h manager");
}

export function leave(command: Command, bind: Bind): void {
  command.option("-f, --force", "also as a manager, or as the last one").action(
    bind(async ({ client, print }: Context, o: { force?: boolean }) => {
      await client.post("/swarm/leave", { force: o.force });
      print("Node left the swarm.");
    }),
  );
  examples(command, "creel swarm leave");
}

async function initialize({ client, print }: Context, o: InitOptions): Promise<void> {
  const id = await client.post<string>("/swarm/init", undefined, {
    ListenAddr: o.listenAddr,
    AdvertiseAddr: o.advertiseAddr,
    DataPathAddr: o.dataPathAddr,
    DataPathPort: o.dataPathPort,
    DefaultAddrPool: o.defaultAddrPool ?? null,
    SubnetSize: o.defaultAddrPoolMaskLength ?? 0,
    Availability: o.availability,
    ForceNewCluster: o.forceNewCluster ?? false,
    AutoLockManagers: o.autolock ?? false,
    Spec: settled({}, o),
  });
  print(`Swarm initialized: current node (${id}) is now a manager.\n`);
  const { JoinTokens } = await client.get<Swarm>("/swarm");
  print("To add a worker to this swarm, run the following command:\n");
  print(`    creel swarm join --token ${JoinTokens.Worker} ${await managerAddr(client)}\n`);
  print("To add a manager to this swarm, run 'creel swarm join-token manager' and follow the instructions.");
  if (!o.autolock) return;
  const { UnlockKey } = await client.get<{ UnlockKey: string }>("/swarm/unlockkey");
  print(`\n${autolockText(UnlockKey)}`);
}

async function enter(
  { client, print }: Context,
  remote: string,
  o: AddressOptions & { token: string },
): Promise<void> {
  await client.post("/swarm/join", undefined, {
    ListenAddr: o.listenAddr,
    AdvertiseAddr: o.advertiseAddr,
    DataPathAddr: o.dataPathAddr,
    RemoteAddrs: [remote],
    JoinToken: o.token,
    Availability: o.availability,
  });
  const { Swarm } = await client.get<Info & { Swarm: { ControlAvailable: boolean } }>("/info");
  print(`This node joined a swarm as a ${Swarm.ControlAvailable ? "manager" : "worker"}.`);
}

async function showToken(
  { client, print }: Context,
  role: string,
  o: { quiet?: boolean; rotate?: boolean; ttl?: number },
): Promise<void> {
  if (role !== "worker" && role !== "manager") throw invalid(`unknown role ${role}: worker or manager`);
  if (o.ttl !== undefined && !o.rotate) throw invalid("--ttl goes with --rotate");
  const key = role === "worker" ? "Worker" : "Manager";
  if (o.rotate) {
    const { Version, Spec } = await client.get<Swarm>("/swarm");
    const tokenTTL = o.ttl === undefined ? undefined : Math.ceil(o.ttl / 1e9);
    const query = { version: Version.Index, [`rotate${key}Token`]: true, tokenTTL };
    await client.post("/swarm/update", query, Spec);
    if (!o.quiet) print(`Successfully rotated ${role} join token.\n`);
  }
  const { JoinTokens } = await client.get<Swarm>("/swarm");
  if (o.quiet) return print(JoinTokens[key]);
  print(`To add a ${role} to this swarm, run the following command:\n`);
  print(`    creel swarm join --token ${JoinTokens[key]} ${await managerAddr(client)}\n`);
  const expires = JoinTokens[`${key}ExpiresAt`];
  if (expires === undefined) return;
  if (Date.parse(expires) > Date.now()) print(`The token is good until ${expires}.`);
  else print(`The token expired at ${expires}: make a new one with --rotate.`);
}

async function managerAddr(client: Context["client"]): Promise<string> {
  const { Swarm } = await client.get<Info>("/info");
  const own = Swarm.RemoteManagers?.find((manager) => manager.NodeID === Swarm.NodeID);
  return own?.Addr ?? `${Swarm.NodeAddr}:2377`;
}
