// npm run sim -- --seed N [--seeds COUNT] [--minutes M] [--trace FILE]
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Outcome, simulate } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string", default: "1" },
    minutes: { type: "string", default: "5" },
    trace: { type: "string" },
  },
});

function write(outcome: Outcome): string {
  const path = values.trace ?? join(tmpdir(), `creel-sim-${outcome.seed}.trace`);
  writeFileSync(path, `${outcome.trace.join("\n")}\n`);
  return path;
}

// Errors are answers here, by the thousand; where one was made is of no interest among many lives.
if (values.seeds !== "1") Error.stackTraceLimit = 0;

const first = Number(values.seed);
const minutes = Number(values.minutes);
let failed = 0;
let passed = 0;
const began = Date.now();
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const outcome = await simulate(seed, minutes);
  const { failure, events, entries, acknowledged, digest } = outcome;
  if (failure === undefined) passed++;
  else {
    failed++;
    console.log(`seed ${seed}: ${failure}\n  its trace: ${write(outcome)}`);
  }
  if (values.seeds === "1") {
    if (values.trace && failure === undefined) write(outcome);
    console.log(`seed ${seed}: ${events} events, ${entries} entries, ${acknowledged} commands acknowledged`);
    console.log(`trace ${digest}`);
  }
}
const { user, system } = process.cpuUsage();
const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
const took = `${seconds(Date.now() - began)}, ${seconds((user + system) / 1000)} of processor time`;
console.log(`${passed} passing (${took})\n${failed} failing`);
process.exit(failed === 0 ? 0 : 1);
