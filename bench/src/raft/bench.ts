import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Bench } from "../bench.ts";
import { folder } from "../creel.ts";
import { type Measure, measure } from "../measure.ts";
import { find } from "../peers.ts";
import { interleave, type Side } from "../rounds.ts";
import { type Group, startEtcd, startOurs } from "./groups.ts";
import type { System } from "./put.ts";

const IN_FLIGHT = [1, 16, 64, 256];
const SECONDS = 5;

interface Sample {
  perSecond: number;
  p50: number;
  p99: number;
}

const runFile = promisify(execFile);

async function sample(system: System, group: Group, inFlight: number): Promise<Sample> {
  const args = [system, await group.leader(), String(inFlight), String(SECONDS)];
  const client = join(import.meta.dirname, "client.ts");
  const { stdout } = await runFile(process.execPath, [client, ...args], { timeout: (SECONDS + 60) * 1000 });
  return JSON.parse(stdout) as Sample;
}

/** What three managers agree on in a second. */
export const raft: Bench = {
  peers: ["etcd"],
  needs: [],
  rounds: 5,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const ours = await startOurs(join(dir, "c"), cleanup);
    const etcd = find("etcd") ? await startEtcd(join(dir, "e"), cleanup) : undefined;
    const measures: Measure[] = [];
    const name = "etcd";
    for (const inFlight of IN_FLIGHT) {
      say(`${inFlight} in flight`);
      const medians: Record<System, number[]> = { creel: [], etcd: [] };
      const side = (system: System, group: Group): Side => {
        return async () => {
          const taken = await sample(system, group, inFlight);
          medians[system].push(taken.p50);
          return taken.perSecond;
        };
      };
      const rates = await interleave(
        rounds,
        {
          creel: side("creel", ours),
          etcd: etcd && side("etcd", etcd),
          within: () => ours.drive(inFlight, SECONDS),
        },
        1,
      );
      for (const kept of Object.values(medians)) kept.splice(0, kept.length - rounds);
      const rate = { unit: "1/s", better: "more" } as const;
      const what = `1 KiB proposals, ${inFlight} in flight`;
      measures.push(
        measure({ name: what, ...rate }, rates.creel, etcd && { name, samples: rates.etcd }, {
          of: "ratio",
          atLeast: 1,
        }),
        measure(
          { name: `${what}, median latency`, unit: "ms", better: "less" },
          medians.creel,
          etcd && { name, samples: medians.etcd },
        ),
        measure({ name: `${what}, from the leader's own process`, ...rate }, rates.within),
      );
    }
    return measures;
  },
};
