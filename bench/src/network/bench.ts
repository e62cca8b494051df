import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Lab } from "../../../tools/src/lab/lab.ts";
import type { Bench } from "../bench.ts";
import { addressOf, createService, poll, runningTask } from "../cluster.ts";
import { folder, startCreel } from "../creel.ts";
import { buildLoad, loadImage } from "../load.ts";
import { type Goal, type Measure, measure } from "../measure.ts";
import { interleave, type Side } from "../rounds.ts";
import { type Beside, buildBeside } from "./beside.ts";

const NETWORK = "bench";
const PUBLISHED = 8080;
const FLOW_MS = 500;
/** Single flows scatter by half of their middle: so many of them in the place of one sample. */
const FLOWS_A_ROUND = 4;
const ROUND_TRIPS = 3000;
const CONNECTIONS = 300;

/** Runs a command to its end; what it printed. */
function run(words: string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(words[0]!, words.slice(1), {
      env,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(out.trim());
      else reject(new Error(`${words.join(" ")}: ${err.trim() || `exit ${code}`}`));
    });
  });
}

/** From where load is sent: a command that runs the load program there. */
type From = (...args: string[]) => Promise<string>;

const number = async (output: Promise<string>, field: string) =>
  (JSON.parse(await output) as Record<string, number>)[field]!;
const throughput =
  (from: From, to: string): Side =>
  () =>
    number(from("throughput", to, String(FLOW_MS)), "gbit");
const latency =
  (from: From, to: string): Side =>
  () =>
    number(from("latency", to, String(ROUND_TRIPS)), "p50");
const connecting =
  (from: From, to: string): Side =>
  () =>
    number(from("connect", to, String(CONNECTIONS)), "p50");

/** Creel's side: a server on node2 behind a virtual address and a published port, clients on both nodes. */
interface Ours {
  direct: string;
  virtual: string;
  published: string;
  near: From;
  far: From;
}

async function prepare(lab: Lab, dir: string, image: { tag: string; archive: Buffer }): Promise<Ours> {
  const rest = lab.rest("node1");
  for (const node of lab.nodes) await lab.rest(node.name).post("/images/load", image.archive);
  await rest.post("/networks/create", { Name: NETWORK, Driver: "overlay" });
  const common = { image: image.tag, args: ["serve", "8080"], network: NETWORK };
  const server = await createService(rest, { ...common, name: "server", node: "node2", publish: PUBLISHED });
  const client = async (node: string): Promise<From> => {
    const service = await createService(rest, { ...common, name: `client-${node}`, node });
    const container = (await runningTask(rest, service)).Status.ContainerStatus!.ContainerID;
    const prefix = ["docker", "-H", `unix://${lab.socket(node)}`, "exec", container, "/load"];
    return (...args) => run([...prefix, ...args], { ...process.env, DOCKER_CONFIG: dir });
  };
  const [near, far] = [await client("node2"), await client("node1")];
  const task = await runningTask(rest, server);
  const { Id } = await rest.get<{ Id: string }>(`/networks/${NETWORK}`);
  const virtual = await poll("a virtual address", async () => {
    const { Endpoint } = await rest.get<{ Endpoint: { VirtualIPs?: { NetworkID: string; Addr: string }[] } }>(
      `/services/${server}`,
    );
    return Endpoint.VirtualIPs?.find((each) => each.NetworkID === Id)?.Addr.split("/")[0];
  });
  return {
    direct: `${addressOf(task, NETWORK)}:8080`,
    virtual: `${virtual}:8080`,
    published: `${lab.node("node1").address}:${PUBLISHED}`,
    near,
    far,
  };
}

/** The task must see the address of whoever asks, or the comparison is not the promised one. */
async function checkClientAddress(lab: Lab, here: From, to: string): Promise<void> {
  const own = lab.node("node1").address.replace(/\.\d+$/, ".1");
  const seen = await poll("an answer through the published port", () =>
    here("seen", to).catch(() => undefined),
  );
  if (seen !== own) throw new Error(`the task saw ${seen}, but ${own} asked`);
}

const PEERS: Record<keyof Beside, string> = {
  snat: "nft, DNAT and SNAT",
  haproxy: "haproxy",
  dockerProxy: "docker-proxy",
};

/** What a service's addresses cost. */
export const network: Bench = {
  peers: ["docker", "ip", "nft", "haproxy", "docker-proxy"],
  needs: ["docker"],
  rounds: 15,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const load = buildLoad();
    const lab = await startCreel(join(dir, "c"), 2, 1, cleanup);
    const ours = await prepare(lab, dir, await loadImage(load));
    const here: From = (...args) => run([load, ...args]);
    const beside = buildBeside(dir, load, cleanup);
    await checkClientAddress(lab, here, ours.published);
    for (const [name, to] of Object.entries(beside))
      await poll(`an answer through ${name}`, () => here("seen", to).catch(() => undefined));

    const measures: Measure[] = [];
    const gbit = { unit: "Gbit/s", better: "more" } as const;
    const us = { unit: "µs", better: "less" } as const;
    const virtual = async (where: string, from: From) => {
      say(`through the virtual address, ${where}`);
      const of = (count: number, side: (from: From, to: string) => Side) =>
        interleave(count, { virtual: side(from, ours.virtual), direct: side(from, ours.direct) }, 1);
      const flow = await of(rounds * FLOWS_A_ROUND, throughput);
      const trip = await of(rounds, latency);
      const direct = (samples: number[]) => ({ name: "direct", samples });
      measures.push(
        measure(
          { name: `throughput, virtual address, ${where}`, ...gbit },
          flow.virtual,
          direct(flow.direct),
          {
            of: "ratio",
            atLeast: 0.93,
          },
        ),
        measure({ name: `round trip, virtual address, ${where}`, ...us }, trip.virtual, direct(trip.direct)),
      );
    };
    await virtual("same node", ours.near);
    await virtual("another node", ours.far);

    const names = Object.keys(beside) as (keyof Beside)[];
    const through = async (
      what: { name: string; unit: string; better: "less" | "more" },
      side: (from: From, to: string) => Side,
      goal?: Goal,
    ) => {
      say(what.name);
      const sides: Record<string, Side> = { creel: side(here, ours.published) };
      for (const name of names) sides[name] = side(here, beside[name]!);
      const samples = await interleave(rounds, sides, 1);
      if (names.length === 0) measures.push(measure(what, samples.creel!, undefined, goal));
      for (const name of names) {
        const peer = { name: PEERS[name], samples: samples[name]! };
        measures.push(measure(what, samples.creel!, peer, name === "snat" ? goal : undefined));
      }
    };
    await through({ name: "ingress through another node, round trip", ...us }, latency, {
      of: "ratio",
      atMost: 1.1,
    });
    await through({ name: "ingress through another node, new connection", ...us }, connecting);
    await through({ name: "ingress through another node, throughput", ...gbit }, throughput);
    return measures;
  },
};
