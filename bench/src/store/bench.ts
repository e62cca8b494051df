import { fork } from "node:child_process";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { Cleanup } from "../cleanup.ts";
import { measure } from "../measure.ts";
import type { Figures } from "./million.ts";

const TASKS = 1_000_000;
const SERVICES = 1_000;
const LIMIT_MS = 300_000;

function sample(cleanup: Cleanup): Promise<Figures> {
  const child = fork(join(import.meta.dirname, "million.ts"), [String(TASKS), String(SERVICES)], {
    execArgv: ["--expose-gc"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  cleanup.add("store", () => child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no answer in ${LIMIT_MS / 1000} s`)), LIMIT_MS);
    child.once("message", (figures: Figures) => resolve(figures));
    child.once("exit", (code) => {
      clearTimeout(late);
      reject(new Error(`the store's process ended with ${code}`));
    });
  });
}

/** A million tasks in the managers' store. */
export const store: Bench = {
  peers: [],
  needs: [],
  rounds: 3,
  async run({ cleanup, rounds, say }) {
    const all: Figures[] = [];
    for (let round = 0; round < rounds; round++) {
      const figures = await sample(cleanup);
      say(
        `${figures.bytesPerTask.toFixed(0)} bytes a task, longest step ${figures.worstStepMs.toFixed(1)} ms`,
      );
      all.push(figures);
    }
    const of = (key: keyof Figures) => all.map((figures) => figures[key]);
    const at = `at ${TASKS} tasks`;
    return [
      measure(
        { name: "memory of a task, indexes included", unit: "bytes", better: "less" },
        of("bytesPerTask"),
        undefined,
        {
          of: "value",
          atMost: 420,
        },
      ),
      measure(
        { name: `longest step of 1000 changes and a view, ${at}`, unit: "ms", better: "less" },
        of("worstStepMs"),
        undefined,
        { of: "value", atMost: 25 },
      ),
      measure(
        { name: `of it work of its own thread, ${at}`, unit: "ms", better: "less" },
        of("worstStepCpuMs"),
      ),
      measure(
        { name: `longest slice of a snapshot, ${at}`, unit: "ms", better: "less" },
        of("worstSliceMs"),
        undefined,
        { of: "value", atMost: 25 },
      ),
      measure({ name: `changes applied, ${at}`, unit: "/s", better: "more" }, of("changesPerSecond")),
    ];
  },
};
