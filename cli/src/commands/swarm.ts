import type { Command } from "commander";
import type { Context } from "../context.ts";
import type { Bind } from "../program.ts";
import { list, whole } from "./options.ts";

interface Swarm {
  Version: { Index: number };
  Spec: unknown;
  JoinTokens: { Worker: string; Manager: string };
}
interface Info {
  Swarm: { NodeAddr: string; RemoteManagers: { Addr: string; NodeID: string }[] | null; NodeID: string };
}

interface InitOptions {
  advertiseAddr: string;
  listenAddr: string;
  dataPathAddr: string;
  dataPathPort: number;
  defaultAddrPool?: string[];
  availability: string;
  forceNewCluster?: boolean;
}

/** `creel swarm …` */
export function swarmCommands(program: Command, bind: Bind): void {
  const swarm = program.command("swarm").description("make machines one cluster");
  swarm
    .command("init")
    .description("make a cluster of this machine")
    .option("--advertise-addr <address>", "where the others reach this node", "")
    .option("--listen-addr <address>", "where this node listens", "0.0.0.0:2377")
    .option("--data-path-addr <address>", "address for the traffic between containers", "")
    .option("--data-path-port <port>", "UDP port for the traffic between containers", whole, 0)
    .option("--default-addr-pool <cidr>", "where networks take their subnets from", list)
    .option("--availability <state>", "active, pause or drain", "active")
    .option("--force-new-cluster", "make a new cluster of this manager's state")
    .action(bind(init));
  swarm
    .command("join")
    .description("join a cluster")
    .argument("<host:port>")
    .requiredOption("--token <token>", "the cluster's token for workers or for managers")
    .option("--advertise-addr <address>", "where the others reach this node", "")
    .option("--listen-addr <address>", "where this node listens", "0.0.0.0:2377")
    .option("--data-path-addr <address>", "address for the traffic between containers", "")
    .option("--availability <state>", "active, pause or drain", "active")
    .action(bind(join));
  swarm
    .command("join-token")
    .description("show the token that lets nodes join")
    .argument("<worker|manager>")
    .option("-q, --quiet", "only the token")
    .option("--rotate", "make a new one first; the old one stops working")
    .action(bind(joinToken));
  swarm
    .command("leave")
    .description("leave the cluster")
    .option("-f, --force", "also as the last manager")
    .action(bind(leave));
}

async function init({ client, print }: Context, o: InitOptions): Promise<void> {
  const id = await client.post<string>("/swarm/init", undefined, {
    ListenAddr: o.listenAddr,
    AdvertiseAddr: o.advertiseAddr,
    DataPathAddr: o.dataPathAddr,
    DataPathPort: o.dataPathPort,
    DefaultAddrPool: o.defaultAddrPool ?? null,
    Availability: o.availability,
    ForceNewCluster: o.forceNewCluster ?? false,
    Spec: {},
  });
  print(`Swarm initialized: current node (${id}) is now a manager.\n`);
  const { JoinTokens } = await client.get<Swarm>("/swarm");
  print("To add a worker to this swarm, run the following command:\n");
  print(`    creel swarm join --token ${JoinTokens.Worker} ${await managerAddr(client)}\n`);
  print("To add a manager to this swarm, run 'creel swarm join-token manager' and follow the instructions.");
}

async function join(
  { client, print }: Context,
  remote: string,
  o: InitOptions & { token: string },
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

async function joinToken(
  { client, print }: Context,
  role: string,
  o: { quiet?: boolean; rotate?: boolean },
): Promise<void> {
  if (role !== "worker" && role !== "manager") throw new Error(`unknown role ${role}: worker or manager`);
  const key = role === "worker" ? "Worker" : "Manager";
  if (o.rotate) {
    const { Version, Spec } = await client.get<Swarm>("/swarm");
    await client.post("/swarm/update", { version: Version.Index, [`rotate${key}Token`]: true }, Spec);
    if (!o.quiet) print(`Successfully rotated ${role} join token.\n`);
  }
  const { JoinTokens } = await client.get<Swarm>("/swarm");
  if (o.quiet) return print(JoinTokens[key]);
  print(`To add a ${role} to this swarm, run the following command:\n`);
  print(`    creel swarm join --token ${JoinTokens[key]} ${await managerAddr(client)}\n`);
}

async function leave({ client, print }: Context, o: { force?: boolean }): Promise<void> {
  await client.post("/swarm/leave", { force: o.force });
  print("Node left the swarm.");
}

async function managerAddr(client: Context["client"]): Promise<string> {
  const { Swarm } = await client.get<Info>("/info");
  const own = Swarm.RemoteManagers?.find((manager) => manager.NodeID === Swarm.NodeID);
  return own?.Addr ?? `${Swarm.NodeAddr}:2377`;
}
