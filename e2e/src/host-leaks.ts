import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Lab } from "../../tools/src/lab/lab.ts";
import { runningTasks } from "./faults.ts";

/** What a node's daemon says it has. */
interface Known {
  running: Set<string>;
  all: Set<string>;
  networks: Set<string>;
  /** Ports that the routing mesh answers, by number of backends; of the whole cluster. */
  mesh: Map<number, number>;
}

interface Service {
  ID: string;
  Endpoint?: { Ports?: { PublishMode?: string; PublishedPort: number }[] };
}

/** What one of the cluster's managers says of published ports. */
async function meshOf(lab: Lab): Promise<Map<number, number>> {
  const rest = lab.rest(lab.nodes[0]!.name);
  const mesh = new Map<number, number>();
  for (const { ID, Endpoint } of await rest.get<Service[]>("/services").catch(() => [])) {
    for (const port of Endpoint?.Ports ?? []) {
      if (port.PublishMode === "host") continue;
      const backends = (await runningTasks(lab, lab.nodes[0]!.name, ID)).length;
      if (backends > 0) mesh.set(port.PublishedPort, backends);
    }
  }
  return mesh;
}

async function known(lab: Lab, node: string): Promise<Known> {
  const rest = lab.rest(node);
  const containers = await rest.get<{ Id: string; State: string }[]>("/containers/json?all=1");
  const networks = await rest.get<{ Id: string }[]>("/networks");
  return {
    running: new Set(containers.filter(({ State }) => State === "running").map(({ Id }) => Id)),
    all: new Set(containers.map(({ Id }) => Id)),
    networks: new Set(networks.map(({ Id }) => Id)),
    mesh: await meshOf(lab),
  };
}

function names(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** Whether an id of the set begins with the name's first part. */
function belongs(name: string, ids: ReadonlySet<string>): boolean {
  const id = name.split("-")[0]!;
  return ids.has(id) || [...ids].some((each) => each.startsWith(id) && id.length >= 12);
}

function hierarchies(): string[] {
  return readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(([, , type]) => type === "cgroup" || type === "cgroup2")
    .map(([, mount]) => mount!);
}

function cgroups(lab: Lab, node: string, { running }: Known): string[] {
  return hierarchies()
    .flatMap((mount) => {
      const parent = join(mount, lab.cgroup, node);
      const dirs = existsSync(parent) ? readdirSync(parent, { withFileTypes: true }) : [];
      return dirs.filter((entry) => entry.isDirectory()).map((entry) => join(parent, entry.name));
    })
    .filter((path) => !belongs(path.split("/").at(-1)!, running))
    .map((path) => `cgroup ${path}`);
}

function mounts(lab: Lab, node: string, { running, all, networks }: Known): string[] {
  const home = join(lab.dir, node);
  const roots = [home, lab.execRoot(node)];
  return readFileSync(`/proc/${lab.node(node).pid}/mountinfo`, "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => roots.some((root) => path.startsWith(`${root}/`)) && path !== join(home, "data"))
    .filter((path) => {
      const [kind, id] = path.split("/").slice(-2) as [string, string];
      if (kind === "overlays") return !networks.has(id);
      if (kind === "netns") return !belongs(id, running);
      // secrets and configs of a container that waits for its start
      if (id === "files") return !belongs(kind, all);
      return !belongs(kind, running);
    })
    .map((path) => `mount ${path}`);
}

function processes(lab: Lab, node: string, { running }: Known): string[] {
  const init = lab.node(node).pid;
  const namespace = readlinkSync(`/proc/${init}/ns/pid`);
  let shims = 0;
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/pid`) !== namespace) continue;
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [name, state] = [/\((.*)\)/.exec(stat)![1]!, /\) (.)/.exec(stat)![1]!];
      if (state === "Z") found.push(`zombie ${pid} (${name})`);
      else if (readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("creel-shim")) shims++;
    } catch {
      // it ended meanwhile
    }
  }
  // one more than containers: the one that new ones are forked from
  if (shims !== running.size + 1) found.push(`${shims} shims for ${running.size} containers`);
  return found;
}

function interfaces(lab: Lab, node: string, { running }: Known): string[] {
  const lines = readFileSync(`/proc/${lab.node(node).pid}/net/dev`, "utf8").split("\n");
  const veths = lines.map((line) => line.split(":")[0]!.trim()).filter((name) => name.startsWith("cv"));
  return veths.length > running.size ? [`interfaces ${veths.join(" ")}, ${running.size} containers`] : [];
}

/** Rules of the routing mesh; not looked at where there is no nft command. */
function rules(lab: Lab, node: string, { mesh }: Known): string[] {
  const count = (map: string) => {
    const { code, stdout } = lab.exec(node, ["nft", "-j", "list", "map", "ip", "creel", map]);
    if (code !== 0) return undefined;
    const { nftables } = JSON.parse(stdout) as { nftables: { map?: { elem?: unknown[] } }[] };
    return nftables.find((each) => each.map !== undefined)!.map!.elem?.length ?? 0;
  };
  const backends = [...mesh.values()].reduce((a, b) => a + b, 0);
  const [ports, slots] = [count("ingress"), count("slots")];
  const found: string[] = [];
  if (ports !== undefined && ports !== mesh.size) found.push(`rules: ${ports} ports for ${mesh.size}`);
  if (slots !== undefined && slots !== backends) found.push(`rules: ${slots} backends for ${backends}`);
  return found;
}

const DRIVERS = ["overlay2", "btrfs", "vfs"];

type Folder = [path: string, belongs: (name: string) => boolean];

function files(lab: Lab, node: string, { running, all, networks }: Known): string[] {
  const home = join(lab.dir, node);
  const folders: Folder[] = [
    ["run/containers", (name) => all.has(name)],
    ["data/containers", (name) => all.has(name)],
    ...DRIVERS.flatMap((driver): Folder[] => [
      [`data/${driver}/containers`, (name) => all.has(name)],
      [`data/${driver}/staging`, () => false],
    ]),
    ["data/content/ingest", () => false],
    ["run/streams", () => false],
    ["run/net/sandboxes", (name) => belongs(name, running)],
    ["run/net/overlays", (name) => networks.has(name)],
  ];
  return folders.flatMap(([dir, expected]) =>
    names(join(home, dir))
      .filter((name) => !expected(name))
      .map((name) => `file ${dir}/${name}`),
  );
}

/** What is on a running host and belongs to nothing that its daemon knows. */
export async function strays(lab: Lab, node: string): Promise<string[]> {
  const has = await known(lab, node);
  const found = [cgroups, mounts, processes, interfaces, rules, files].flatMap((look) =>
    look(lab, node, has),
  );
  return found.map((what) => `${node}: ${what}`);
}
