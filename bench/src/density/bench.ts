import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Rest } from "../../../tools/src/rest.ts";
import type { Bench } from "../bench.ts";
import { folder, startCreel } from "../creel.ts";
import { startDockerd } from "../dockerd.ts";
import { buildLoad, loadImage } from "../load.ts";
import { type Measure, measure } from "../measure.ts";
import { find } from "../peers.ts";
import { CREELD, memoryOf, type Process, processesOf } from "../processes.ts";
import { startPodman } from "./podman.ts";

const CONTAINERS = 200;
/** Peers get fewer: what one costs is the same, and all have to fit beside each other. */
const OF_PEERS = 50;
const AT_ONCE = 10;
const SETTLE_MS = 10_000;
const BETWEEN_MS = 1000;

/** One side: how it starts so many containers, and which processes of its host manage them. */
interface Side {
  init: number;
  manager: RegExp;
  engine: RegExp;
  start(count: number): Promise<void>;
}

interface Samples {
  /** Proportional set size of all managing processes, for each container. */
  each: number[];
  engine: number[];
}

/** Starts `count` idle containers, a few at a time. */
async function startAll(rest: Rest, image: string, count: number): Promise<void> {
  let left = count;
  const one = async () => {
    while (left-- > 0) {
      const { Id } = await rest.post<{ Id: string }>("/containers/create", {
        Image: image,
        Cmd: ["serve", "8080"],
      });
      await rest.post(`/containers/${Id}/start`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
}

const sum = (processes: Process[], of: (pid: number) => number) =>
  processes.reduce((total, { pid }) => total + of(pid), 0);
const pss = ({ init, manager }: Side) =>
  sum(
    processesOf(init).filter(({ command }) => manager.test(command)),
    (pid) => memoryOf(pid).pss,
  );
const rss = ({ init, engine }: Side) =>
  sum(
    processesOf(init).filter(({ command }) => engine.test(command)),
    (pid) => memoryOf(pid).rss,
  );

/** Memory before and with `count` containers. */
async function weigh(side: Side, count: number, rounds: number): Promise<Samples> {
  const before = pss(side);
  await side.start(count);
  await delay(SETTLE_MS);
  const samples: Samples = { each: [], engine: [] };
  for (let round = 0; round < rounds; round++) {
    samples.each.push((pss(side) - before) / count);
    samples.engine.push(rss(side));
    await delay(BETWEEN_MS);
  }
  return samples;
}

/** What idle containers cost in memory, beside their own. */
export const density: Bench = {
  peers: ["dockerd", "containerd", "runc", "podman"],
  needs: [],
  rounds: 3,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const { tag, archive } = await loadImage(buildLoad());
    const lab = await startCreel(join(dir, "c"), 1, 1, cleanup);
    const rest = lab.rest("node1");
    await rest.post("/images/load", archive);
    await delay(SETTLE_MS);
    say(`Creel with ${CONTAINERS} containers`);
    const own = await weigh(
      {
        init: lab.node("node1").pid,
        manager: new RegExp(`${CREELD.source}|creel-engine|creel-shim`),
        engine: /creel-engine/,
        start: (count) => startAll(rest, tag, count),
      },
      CONTAINERS,
      rounds,
    );
    let docker: Samples | undefined;
    if (find("dockerd") && find("containerd")) {
      say(`dockerd with ${OF_PEERS}`);
      const peer = await startDockerd(join(dir, "d"), cleanup);
      await peer.rest.post("/images/load", archive);
      await delay(SETTLE_MS);
      const side = {
        init: peer.host.pid,
        manager: /^\S*(?:dockerd|containerd|containerd-shim\S*|docker-proxy) /,
        engine: /^\S*(?:dockerd|containerd) /,
        start: (count: number) => startAll(peer.rest, tag, count),
      };
      docker = await weigh(side, OF_PEERS, rounds);
    }
    let podman: Samples | undefined;
    if (find("podman")) {
      say(`podman with ${OF_PEERS}`);
      const peer = startPodman(join(dir, "p"), archive, cleanup);
      const side = {
        init: peer.pid,
        manager: /^\S*conmon /,
        engine: /^\S*podman /,
        start: async (count: number) => peer.start(tag, count),
      };
      podman = await weigh(side, OF_PEERS, rounds);
    }
    const each = { name: "an idle container, all managing processes", unit: "MB", better: "less" } as const;
    const peer = (name: string, samples?: number[]) => samples && { name, samples };
    return [
      measure(each, own.each, peer("dockerd, containerd, shim", docker?.each), { of: "value", atMost: 0.6 }),
      measure(each, own.each, peer("podman's conmon", podman?.each)),
      measure(
        { name: `the engine with ${CONTAINERS} containers`, unit: "MB", better: "less" },
        own.engine,
        peer(`dockerd and containerd with ${OF_PEERS}`, docker?.engine),
        { of: "value", atMost: 60 },
      ),
    ];
  },
};
