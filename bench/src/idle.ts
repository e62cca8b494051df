import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Rest } from "../../tools/src/rest.ts";
import type { Bench } from "./bench.ts";
import { folder, startCreel } from "./creel.ts";
import { startDockerd } from "./dockerd.ts";
import { buildLoad, loadImage } from "./load.ts";
import { type Measure, measure, median } from "./measure.ts";
import { find } from "./peers.ts";
import { CREELD, cpuOf, memoryOf, type Process, processesOf } from "./processes.ts";

const CONTAINERS = 20;
/** After a start, before memory is looked at. */
const SETTLE_MS = 15_000;
const WATCH_MS = 30_000;

/** One side: its REST API, its host, and which of the host's processes are what. */
interface Side {
  rest: Rest;
  init: number;
  daemon: RegExp;
  engine: RegExp;
  shim: RegExp;
}

const runs = (side: Side, what: RegExp) => processesOf(side.init).filter((each) => what.test(each.command));
const total = (processes: Process[], of: (pid: number) => number) =>
  processes.reduce((sum, { pid }) => sum + of(pid), 0);

async function startContainers(rest: Rest, image: string): Promise<void> {
  for (let i = 0; i < CONTAINERS; i++) {
    const { Id } = await rest.post<{ Id: string }>("/containers/create", {
      Image: image,
      Cmd: ["serve", "8080"],
    });
    await rest.post(`/containers/${Id}/start`);
  }
}

/** Percent of one core that daemon, engine and shims use together. */
async function cpuWhileIdle(sides: Side[]): Promise<number[]> {
  const used = () =>
    sides.map((side) => {
      const all = [side.daemon, side.engine, side.shim].flatMap((what) => runs(side, what));
      const own = [...new Map(all.map((each) => [each.pid, each])).values()];
      return total(own, cpuOf);
    });
  const before = used();
  const started = performance.now();
  await delay(WATCH_MS);
  const seconds = (performance.now() - started) / 1000;
  return used().map((after, i) => ((after - before[i]!) / seconds) * 100);
}

interface Samples {
  daemon: number[];
  engine: number[];
  shim: number[];
  cpu: number[];
}

/** What a node costs while nothing happens. */
export const idle: Bench = {
  peers: ["dockerd", "containerd", "runc"],
  needs: [],
  rounds: 3,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const { tag, archive } = await loadImage(buildLoad());
    // The first start in a checkout compiles, and what that takes stays resident; all later ones find it done.
    say("a start before the one that is measured");
    await (await startCreel(join(dir, "first"), 1, 1, cleanup)).down();
    const lab = await startCreel(join(dir, "c"), 1, 1, cleanup);
    const sides: Side[] = [
      {
        rest: lab.rest("node1"),
        init: lab.node("node1").pid,
        daemon: CREELD,
        engine: /creel-engine/,
        shim: /creel-shim/,
      },
    ];
    if (find("dockerd") && find("containerd")) {
      const peer = await startDockerd(join(dir, "d"), cleanup);
      const { address, pid } = peer.host;
      await peer.rest.post("/swarm/init", { ListenAddr: "0.0.0.0:2377", AdvertiseAddr: `${address}:2377` });
      sides.push({
        rest: peer.rest,
        init: pid,
        daemon: /^\S*dockerd /,
        engine: /^\S*containerd /,
        shim: /^\S*containerd-shim/,
      });
    }
    for (const { rest } of sides) await rest.post("/images/load", archive);
    const samples: Samples[] = sides.map(() => ({ daemon: [], engine: [], shim: [], cpu: [] }));
    say(`${SETTLE_MS / 1000} s to settle`);
    await delay(SETTLE_MS);
    for (let round = 0; round < rounds; round++) {
      for (const [i, side] of sides.entries()) {
        samples[i]!.daemon.push(total(runs(side, side.daemon), (pid) => memoryOf(pid).rss));
        samples[i]!.engine.push(total(runs(side, side.engine), (pid) => memoryOf(pid).rss));
      }
      await delay(2000);
    }
    for (const { rest } of sides) await startContainers(rest, tag);
    await delay(SETTLE_MS);
    for (let round = 0; round < rounds; round++) {
      say(`${WATCH_MS / 1000} s with ${CONTAINERS} containers (${round + 1} of ${rounds})`);
      const cpu = await cpuWhileIdle(sides);
      for (const [i, side] of sides.entries()) {
        samples[i]!.cpu.push(cpu[i]!);
        samples[i]!.shim.push(median(runs(side, side.shim).map(({ pid }) => memoryOf(pid).pss)));
      }
    }
    const [own, other] = samples as [Samples, Samples | undefined];
    const peer = (name: string, values?: number[]) => values && { name, samples: values };
    const mb = { unit: "MB", better: "less" } as const;
    const value = (atMost: number) => ({ of: "value", atMost }) as const;
    return [
      measure(
        { name: "creeld, manager and worker, resident", ...mb },
        own.daemon,
        peer("dockerd", other?.daemon),
        value(120),
      ),
      measure(
        { name: "creel-engine, resident", ...mb },
        own.engine,
        peer("containerd", other?.engine),
        value(20),
      ),
      measure(
        { name: "a shim, proportional", ...mb },
        own.shim,
        peer("containerd-shim", other?.shim),
        value(0.6),
      ),
      measure(
        { name: `all daemons with ${CONTAINERS} containers`, unit: "% of a core", better: "less" },
        own.cpu,
        peer("dockerd and containerd", other?.cpu),
        value(1),
      ),
    ];
  },
};
