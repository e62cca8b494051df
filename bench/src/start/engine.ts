import type { Rest } from "../../../tools/src/rest.ts";
import { type Goal, type Measure, measure, type Pace, percentile } from "../measure.ts";
import { interleave, type Side } from "../rounds.ts";

/** Many at once take dockerd seconds: one sample in so many rounds. */
const ROUNDS_A_CROWD = 10;

async function create(rest: Rest, image: string): Promise<string> {
  return (await rest.post<{ Id: string }>("/containers/create", { Image: image, Cmd: ["now"] })).Id;
}

/** When the process of a container executed its first instruction, by the machine's monotonic clock in nanoseconds. */
async function executed(rest: Rest, id: string): Promise<bigint> {
  await rest.post(`/containers/${id}/wait`);
  const log = await rest.get<string>(`/containers/${id}/logs?stdout=1`);
  const clock = /\d{6,}/.exec(String(log))?.[0];
  if (clock === undefined) throw new Error(`the container printed no clock: ${JSON.stringify(log)}`);
  return BigInt(clock);
}

/**
 * Milliseconds from the first call that creates one of `count` containers, all asked for at once, to the first
 * instruction of the last one's process, by the REST API.
 */
function toFirstInstruction(rest: Rest, image: string, count = 1): Side {
  return async () => {
    const ids: string[] = [];
    const begun = process.hrtime.bigint();
    const start = async () => {
      const id = await create(rest, image);
      ids.push(id);
      await rest.post(`/containers/${id}/start`);
    };
    try {
      // All are waited for, also when one fails: what was created is removed.
      const started = await Promise.allSettled(Array.from({ length: count }, start));
      for (const each of started) if (each.status === "rejected") throw each.reason;
      const clocks = await Promise.all(ids.map((id) => executed(rest, id)));
      return Math.max(...clocks.map((clock) => Number(clock - begun) / 1e6));
    } finally {
      await Promise.all(ids.map((id) => rest.delete(`/containers/${id}?force=1`)));
    }
  };
}

/** How long the engine takes to create and start: one after another, and many at once. */
export async function engineMeasures(
  own: Rest,
  dockerd: Rest | undefined,
  image: string,
  rounds: number,
  pace: Pace | undefined,
): Promise<Measure[]> {
  const sides = (count?: number) => ({
    creel: toFirstInstruction(own, image, count),
    dockerd: dockerd && toFirstInstruction(dockerd, image, count),
  });
  const one = await interleave(rounds, sides(), 2);
  const crowds = Math.max(1, Math.round(rounds / ROUNDS_A_CROWD));
  const fifty = await interleave(crowds, sides(50));
  const many = await interleave(crowds, { creel: toFirstInstruction(own, image, 200) });
  const ms = { unit: "ms", better: "less" } as const;
  const beside = (samples: number[] | undefined) => samples && { name: "dockerd", samples };
  const first = "create + start to the first instruction";
  const goal = (atMost: number): Goal => ({ of: "value", atMost, ...(pace && { pace }) });
  return [
    measure({ name: first, ...ms }, one.creel, beside(one.dockerd), goal(15)),
    measure({ name: `${first}, p99`, ...ms }, one.creel, beside(one.dockerd), goal(50), (values) =>
      percentile(values, 99),
    ),
    measure({ name: `${first}, 50 at once`, ...ms }, fifty.creel, beside(fifty.dockerd), goal(600)),
    measure({ name: `${first}, 200 at once`, ...ms }, many.creel, undefined, goal(2500)),
  ];
}
