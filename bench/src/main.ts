import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Argument, Command, InvalidArgumentError } from "commander";
import { root } from "../../tools/src/root.ts";
import type { Bench } from "./bench.ts";
import { withCleanup } from "./cleanup.ts";
import { machine } from "./machine.ts";
import { table } from "./measure.ts";
import { install, missing, missingSentence } from "./peers.ts";

const BENCHES: Record<string, () => Promise<Bench>> = {
  start: async () => (await import("./start/bench.ts")).start,
  scale: async () => (await import("./scale.ts")).scale,
  network: async () => (await import("./network/bench.ts")).network,
  density: async () => (await import("./density/bench.ts")).density,
  idle: async () => (await import("./idle.ts")).idle,
  store: async () => (await import("./store/bench.ts")).store,
  agents: async () => (await import("./agents/bench.ts")).agents,
  schedule: async () => (await import("./schedule/bench.ts")).schedule,
  raft: async () => (await import("./raft/bench.ts")).raft,
};

/** Nothing was measured; 1 says that a goal is not met. */
const FAILED = 2;

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 10_000)
    throw new InvalidArgumentError("a number from 1 to 10000");
  return value;
}

interface Options {
  check?: boolean;
  installPeers?: boolean;
  rounds?: number;
}

async function main(names: string[], options: Options): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("root is needed: a bench makes hosts out of namespaces");
  for (const name of new Set(names)) await runOne(name, options);
}

async function runOne(name: string, options: Options): Promise<void> {
  const bench = await BENCHES[name]!();
  if (options.installPeers) install(bench.peers);
  const absent = missing(bench.peers);
  if (absent.length > 0) console.error(missingSentence(absent));
  const needed = missing(bench.needs);
  if (needed.length > 0) throw new Error(`this bench needs ${needed.join(", ")}`);
  const on = machine();
  if (on.load > on.cores)
    console.error(
      `this machine is busy (load ${on.load.toFixed(1)} on ${on.cores} cores): expect poor numbers`,
    );
  const rounds = options.rounds ?? bench.rounds;
  const say = (line: string) => console.error(`${name}: ${line}`);
  const measures = await withCleanup((cleanup) => bench.run({ cleanup, rounds, say }));
  const results = join(root, "bench/results");
  mkdirSync(results, { recursive: true });
  const file = join(results, `${name}.json`);
  const report = {
    bench: name,
    date: new Date().toISOString(),
    rounds,
    machine: on,
    missing: absent,
    measures,
  };
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(table(measures));
  console.log(
    `\n${on.cpu}, ${on.cores} cores, ${on.memoryGiB} GiB, Linux ${on.kernel}; all samples in ${file}`,
  );
  const held = measures.every((each) => each.goal === undefined || each.met === true);
  if (options.check && !held) process.exitCode = 1;
}

const program = new Command("npm run bench --")
  .description("the promised numbers, each beside a peer in one run")
  .addArgument(new Argument("<name...>", "which benches, one after another").choices(Object.keys(BENCHES)))
  .option("--check", "end with 1 where a goal is not met")
  .option("--install-peers", "install the programs that are compared with")
  .option("--rounds <n>", "how often each side is measured", count)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : FAILED))
  .action(main);
try {
  await program.parseAsync();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = FAILED;
}
// Keep-alive connections of the REST clients must not hold the process.
process.exit();
