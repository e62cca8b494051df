/** A side of a comparison: takes one sample. */
export type Side = () => Promise<number>;

/**
 * Samples of all sides, taken in turn, so that what else the machine does hits all of them alike; the order turns round
 * every time.
 */
export async function interleave<K extends string>(
  rounds: number,
  sides: Record<K, Side | undefined>,
  warmUp = 0,
): Promise<Record<K, number[]>> {
  const names = (Object.keys(sides) as K[]).filter((name) => sides[name] !== undefined);
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>;
  for (let round = -warmUp; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const value = await sides[name]!();
      if (round >= 0) samples[name].push(value);
    }
  }
  return samples;
}
