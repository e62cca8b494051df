/** A promise about a measure: a limit on our own value, or on the ratio of ours to the peer's. */
export interface Goal {
  of: "value" | "ratio";
  atMost?: number;
  atLeast?: number;
  /** What tells how a time that is missed by the clock would stand on the machine that the goal is for. */
  pace?: Pace;
}

/**
 * How fast this machine is beside the one for which goals in milliseconds were set, by a program of others that does the
 * same kind of work. Where it takes longer, a time of ours is divided by as much; where it is faster, the time stays. A
 * goal is met by the clock or not at all: this tells a slow machine from slow code.
 */
export interface Pace {
  program: string;
  /** Milliseconds on the machine of the goals. */
  reference: number;
  /** Milliseconds here, in the same run. */
  samples: number[];
}

/** One measured thing. Values are medians unless the name says otherwise; the ratio is ours divided by the peer's. */
export interface Measure {
  name: string;
  unit: string;
  /** Which way is good. */
  better: "less" | "more";
  ours: number;
  peer: { name: string; value: number } | undefined;
  ratio: number | undefined;
  goal: string | undefined;
  /** Our value as it would be where the program of the goal's pace takes its reference time, and whether that would do. */
  paced: { value: number; program: string; here: number; reference: number; met: boolean } | undefined;
  /** By the clock. Undefined where there is no goal, or nothing to hold it against. */
  met: boolean | undefined;
  /** All values, in the order they were taken. */
  samples: { ours: number[]; peer?: number[] };
}

/** The value in the middle. */
export function median(values: number[]): number {
  if (values.length === 0) throw new Error("nothing was measured");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The value that so many percent of all are not above. */
export function percentile(values: number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.ceil((sorted.length * percent) / 100) - 1];
  if (found === undefined) throw new Error("nothing was measured");
  return found;
}

function text(goal: Goal): string {
  const what = goal.of === "ratio" ? "ratio " : "";
  return goal.atMost !== undefined ? `${what}≤ ${goal.atMost}` : `${what}≥ ${goal.atLeast}`;
}

const holds = ({ atMost = Number.POSITIVE_INFINITY, atLeast = 0 }: Goal, value: number) =>
  value <= atMost && value >= atLeast;

function atPace(own: number, goal: Goal): Measure["paced"] {
  if (goal.pace === undefined) return undefined;
  const { program, reference, samples } = goal.pace;
  const here = median(samples);
  const value = own / Math.max(1, here / reference);
  return { value, program, here, reference, met: holds(goal, value) };
}

/** What the samples say; `at` tells how they become one value. */
export function measure(
  what: { name: string; unit: string; better: "less" | "more" },
  ours: number[],
  peer?: { name: string; samples: number[] },
  goal?: Goal,
  at: (values: number[]) => number = median,
): Measure {
  const own = at(ours);
  const other = peer && { name: peer.name, value: at(peer.samples) };
  const ratio = other && own / other.value;
  const held = goal?.of === "ratio" ? ratio : own;
  const met = goal === undefined || held === undefined ? undefined : holds(goal, held);
  return {
    ...what,
    ours: own,
    peer: other,
    ratio,
    goal: goal && text(goal),
    paced: goal && atPace(own, goal),
    met,
    samples: { ours, ...(peer && { peer: peer.samples }) },
  };
}

const digits = (value: number) =>
  value >= 1000 ? value.toFixed(0) : value >= 100 ? value.toFixed(1) : value.toPrecision(3);

function shownGoal({ goal = "-", paced }: Measure): string {
  return paced ? `${goal}: ${digits(paced.value)}*` : goal;
}

function noteOf({ program, reference, here }: NonNullable<Measure["paced"]>): string {
  return `* at ${program}'s ${reference} ms: the goal is for a machine where it takes that; here ${digits(here)}`;
}

function verdict({ goal, met, paced }: Measure): string {
  if (met === undefined) return goal === undefined ? "-" : "not compared";
  if (met) return "met";
  return paced?.met ? "NOT MET by the clock, met at pace" : "NOT MET";
}

/** The measures as lines for people. */
export function table(measures: Measure[]): string {
  const rows = measures.map((m) => [
    m.name,
    m.unit,
    digits(m.ours),
    m.peer ? digits(m.peer.value) : "-",
    m.peer?.name ?? "-",
    m.ratio === undefined ? "-" : m.ratio.toFixed(3),
    shownGoal(m),
    verdict(m),
  ]);
  const all = [["measure", "unit", "Creel", "peer", "peer's name", "ratio", "goal", ""], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const right = new Set([2, 3, 5]);
  const notes = new Set(measures.flatMap(({ paced }) => (paced ? [noteOf(paced)] : [])));
  const lines = all.map((row) =>
    row
      .map((cell, i) => (right.has(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
  return [...lines, ...notes].join("\n");
}
