import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Lab } from "../../tools/src/lab/lab.ts";
import { balancerOf, virtualAddressesOf } from "./balancer.ts";
import { nodesBy } from "./faults.ts";
import { strays } from "./host-leaks.ts";

const PATIENCE_MS = 40_000;
/** Containers of a node whose own rules are looked at: it takes a process each. */
const RULES_LOOKED_AT = 6;

interface File {
  File?: { Name: string };
}
interface Task {
  ID: string;
  ServiceID: string;
  NodeID?: string;
  DesiredState: string;
  Spec: {
    ContainerSpec: { Mounts?: { Target: string }[] | null; Secrets?: File[] | null; Configs?: File[] | null };
  };
  Status: { State: string; Err?: string; ContainerStatus?: { ContainerID: string; PID: number } };
  NetworksAttachments: { Network: { ID: string; Spec: { Ingress?: boolean } }; Addresses: string[] }[];
}
interface Service {
  ID: string;
  Endpoint: {
    Ports?: { Protocol: string; PublishedPort: number; TargetPort: number; PublishMode: string }[];
    VirtualIPs?: { NetworkID: string; Addr: string }[];
  };
}
interface Container {
  Id: string;
  State: string;
  Labels: Record<string, string>;
}

/** What one manager says is there, at one moment. */
interface Picture {
  tasks: Task[];
  services: Service[];
  /** Host name → node id, of the nodes that answer. */
  nodes: Map<string, string>;
}

async function pictureOf(lab: Lab, via: string): Promise<Picture> {
  const rest = lab.rest(via);
  const [tasks, services, nodes] = await Promise.all([
    rest.get<Task[]>("/tasks"),
    rest.get<Service[]>("/services"),
    nodesBy(lab, via),
  ]);
  const ready = [...nodes].filter(([, { Status }]) => Status.State === "ready");
  return { tasks, services, nodes: new Map(ready.map(([name, { ID }]) => [name, ID])) };
}

const isRunning = ({ DesiredState, Status }: Task) =>
  ["running", "complete"].includes(DesiredState) && Status.State === "running" && !Status.Err;
const bare = (address: string) => address.replace(/\/\d+$/, "");

function addressOn(task: Task, network: (network: Task["NetworksAttachments"][0]["Network"]) => boolean) {
  const found = task.NetworksAttachments.find((each) => network(each.Network));
  return found && bare(found.Addresses[0]!);
}

/** `port/protocol` → the addresses that it is balanced over. */
function publishedIn({ services, tasks }: Picture): Map<string, string[]> {
  const wanted = new Map<string, string[]>();
  for (const { ID, Endpoint } of services) {
    const backends = tasks
      .filter((task) => task.ServiceID === ID && isRunning(task))
      .flatMap((task) => addressOn(task, ({ Spec }) => Spec.Ingress === true) ?? []);
    for (const port of Endpoint.Ports ?? []) {
      if (port.PublishMode === "host" || backends.length === 0) continue;
      const behind = backends.map((address) => `${address}:${port.TargetPort}`).sort();
      wanted.set(`${port.PublishedPort}/${port.Protocol}`, behind);
    }
  }
  return wanted;
}

/** Virtual address → addresses behind it, on the networks that a task is on. */
function virtualFor({ services, tasks }: Picture, task: Task): Map<string, string[]> {
  const networks = new Set(task.NetworksAttachments.map(({ Network }) => Network.ID));
  const wanted = new Map<string, string[]>();
  for (const { ID, Endpoint } of services) {
    for (const { NetworkID, Addr } of Endpoint.VirtualIPs ?? []) {
      if (!networks.has(NetworkID)) continue;
      const behind = tasks
        .filter((other) => other.ServiceID === ID && isRunning(other))
        .flatMap((other) => addressOn(other, (network) => network.ID === NetworkID) ?? []);
      if (behind.length > 0) wanted.set(bare(Addr), behind.sort());
    }
  }
  return wanted;
}

/** A process as its node sees it. */
class Process {
  readonly proc: string;
  constructor(lab: Lab, node: string, pid: number) {
    this.proc = `/proc/${lab.node(node).pid}/root/proc/${pid}`;
  }
  get exists(): boolean {
    return existsSync(this.proc);
  }
  cgroups(): string {
    return readFileSync(join(this.proc, "cgroup"), "utf8");
  }
  addresses(): Set<string> {
    const trie = readFileSync(join(this.proc, "net/fib_trie"), "utf8");
    return new Set([...trie.matchAll(/(\d+\.\d+\.\d+\.\d+)\n\s+\/32 host LOCAL/g)].map((match) => match[1]!));
  }
  /** Mount point → file system type. */
  mounts(): Map<string, string> {
    const lines = readFileSync(join(this.proc, "mountinfo"), "utf8").trim().split("\n");
    return new Map(
      lines.map((line) => [line.split(" ")[4]!, line.slice(line.indexOf(" - ") + 3).split(" ")[0]!]),
    );
  }
  has(path: string): boolean {
    return statSync(join(this.proc, "root", path), { throwIfNoEntry: false }) !== undefined;
  }
}

/** What of a running task is not there. */
function missing(lab: Lab, node: string, task: Task, containers: Container[]): string[] {
  const { ContainerID = "", PID = 0 } = task.Status.ContainerStatus ?? {};
  const container = containers.find(({ Id }) => Id === ContainerID);
  if (container?.State !== "running")
    return [`container ${ContainerID} is ${container?.State ?? "not there"}`];
  const process = new Process(lab, node, PID);
  if (!process.exists) return [`process ${PID} is not there`];
  const found: string[] = [];
  if (!process.cgroups().includes(ContainerID)) found.push(`process ${PID} is in no cgroup of its container`);
  const addresses = process.addresses();
  for (const address of task.NetworksAttachments.flatMap(({ Addresses }) => Addresses.map(bare)))
    if (!addresses.has(address)) found.push(`address ${address} is not in its network namespace`);
  const mounts = process.mounts();
  const { Mounts, Secrets, Configs } = task.Spec.ContainerSpec;
  for (const { Target } of Mounts ?? [])
    if (!mounts.has(Target)) found.push(`nothing is mounted at ${Target}`);
  for (const { File } of Secrets ?? []) {
    const path = File && (File.Name.startsWith("/") ? File.Name : `/run/secrets/${File.Name}`);
    if (path === undefined) continue;
    const on = [...mounts].filter(([point]) => path === point || path.startsWith(`${point}/`)).at(-1);
    if (!process.has(path)) found.push(`secret ${path} is not there`);
    else if (on?.[1] !== "tmpfs") found.push(`secret ${path} is on ${on?.[1]} (${on?.[0]}), no tmpfs`);
  }
  for (const { File } of Configs ?? [])
    if (File && !process.has(File.Name)) found.push(`config ${File.Name} is not there`);
  return found;
}

function compare(
  what: string,
  found: Map<string, string[]> | undefined,
  wanted: Map<string, string[]>,
): string[] {
  if (found === undefined) return [];
  const keys = new Set([...found.keys(), ...wanted.keys()]);
  return [...keys].flatMap((key) => {
    const [is, should] = [found.get(key)?.join(" ") ?? "", wanted.get(key)?.join(" ") ?? ""];
    return is === should ? [] : [`${what} ${key} leads to [${is}], not to [${should}]`];
  });
}

async function differencesOn(lab: Lab, node: string, picture: Picture): Promise<string[]> {
  const id = picture.nodes.get(node);
  const containers = await lab.rest(node).get<Container[]>("/containers/json?all=1");
  const running = picture.tasks.filter((task) => task.NodeID === id && isRunning(task));
  const found = running.flatMap((task) =>
    missing(lab, node, task, containers).map((what) => `task ${task.ID}: ${what}`),
  );
  const known = new Set(picture.tasks.filter(({ NodeID }) => NodeID === id).map(({ ID }) => ID));
  for (const { Id, Labels, State } of containers) {
    const task = Labels["com.docker.swarm.task.id"];
    if (task !== undefined && State === "running" && !known.has(task))
      found.push(`container ${Id} runs for task ${task}, which the cluster does not have`);
  }
  found.push(...compare("published port", balancerOf(lab, node), publishedIn(picture)));
  for (const task of running.slice(0, RULES_LOOKED_AT)) {
    const pid = task.Status.ContainerStatus?.PID ?? 0;
    const rules = virtualAddressesOf(lab, node, pid);
    found.push(...compare(`task ${task.ID}: address`, rules, virtualFor(picture, task)));
  }
  return [...found.map((what) => `${node}: ${what}`), ...(await strays(lab, node))];
}

/** In what the API's picture and the nodes differ at this moment. */
export async function differences(lab: Lab, via: string): Promise<string[]> {
  const picture = await pictureOf(lab, via);
  const nodes = [...picture.nodes.keys()];
  return (await Promise.all(nodes.map((node) => differencesOn(lab, node, picture)))).flat();
}

/**
 * The API's picture of the cluster is what is on its nodes: for each running task its process, cgroup, addresses,
 * mounts, secrets and configs; no container that belongs to no task; on each node that answers the balancer entries of
 * published ports, and in containers those of virtual addresses; and nothing that no daemon knows of. What is on its
 * way has a few seconds: only what differs in each look counts. `via`: the manager that is asked.
 */
export async function audit(lab: Lab, via = lab.nodes[0]!.name): Promise<void> {
  const look = () => differences(lab, via).catch((error: Error) => [`no look: ${error.message}`]);
  const end = Date.now() + PATIENCE_MS;
  let standing = await look();
  while (standing.length > 0) {
    if (Date.now() > end) assert.deepEqual(standing, []);
    await delay(300);
    const found = new Set(await look());
    standing = standing.filter((what) => found.has(what));
  }
}
