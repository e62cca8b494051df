import { type ChildProcess, fork } from "node:child_process";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { Cleanup } from "../cleanup.ts";
import { measure } from "../measure.ts";
import { cpuOf } from "../processes.ts";
import type { AgentsAnswer, ManagerAnswer, ManagerRequest } from "./messages.ts";

const MANAGERS = 3;
const AGENTS = 200;
const TASKS = 20_000;
const SERVICES = 20;
/** Two hundred nodes in one process: their garbage is not to be looked through as often as one node's. */
const ROOMY = ["--max-semi-space-size=128", "--initial-heap-size=1024"];
const LIMIT_MS = 120_000;

type Answer = ManagerAnswer | AgentsAnswer;

/** A process of the cluster. */
class Member {
  readonly child: ChildProcess;
  readonly #name: string;

  constructor(
    name: string,
    program: string,
    args: string[],
    dir: string,
    cleanup: Cleanup,
    execArgv: string[] = [],
  ) {
    const log = openSync(join(dir, `${name}.log`), "a");
    this.#name = name;
    this.child = fork(join(import.meta.dirname, program), args, {
      stdio: ["ignore", log, log, "ipc"],
      execArgv,
    });
    cleanup.add(name, async () => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) return;
      const ended = new Promise((resolve) => this.child.once("exit", resolve));
      this.child.kill("SIGKILL");
      await ended;
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** The first answer of the kind to the request, or to what the process does by itself. */
  ask<K extends string>(kind: K, request?: ManagerRequest): Promise<Extract<Answer, Record<K, unknown>>> {
    return new Promise((resolve, reject) => {
      const fail = (why: string) => reject(new Error(`${this.#name}: ${why}`));
      const late = setTimeout(() => fail(`no word of ${kind} in ${LIMIT_MS / 1000} s`), LIMIT_MS);
      const listen = (message: Answer) => {
        if ("failed" in message) fail(message.failed);
        else if (!(kind in message)) return;
        else resolve(message as Extract<Answer, Record<K, unknown>>);
        clearTimeout(late);
        this.child.off("message", listen);
      };
      this.child.on("message", listen);
      this.child.once("exit", (code) => fail(`ended with ${code}`));
      if (request) this.child.send(request);
    });
  }
}

/** The processes of the cluster. */
interface Members {
  leader: Member;
  followers: Member[];
  agents: Member;
}

/** Three managers and all agents, once every agent has its session. */
async function startCluster(dir: string, cleanup: Cleanup, say: (line: string) => void): Promise<Members> {
  const manager = (i: number) => new Member(`manager${i}`, "manager.ts", [join(dir, `${i}`)], dir, cleanup);
  const leader = manager(1);
  const { ready: addr, managerToken, workerToken } = await leader.ask("ready", { do: "create" });
  const followers: Member[] = [];
  for (let i = 2; i <= MANAGERS; i++) {
    const follower = manager(i);
    followers.push(follower);
    await follower.ask("ready", { do: "join", addr, token: managerToken });
  }
  const args = ["1", String(AGENTS), workerToken, addr];
  const agents = new Member("agents", "agents.ts", args, dir, cleanup, ROOMY);
  const { connected } = await agents.ask("connected");
  say(`${MANAGERS} managers, ${connected} agents`);
  return { leader, followers, agents };
}

function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}

/** The agents' real protocol with simulated engines: tasks created to running on three managers with logs on disk. */
export const agents: Bench = {
  peers: [],
  needs: [],
  rounds: 3,
  async run({ cleanup, rounds, say }) {
    const dir = mkdtempSync(join(tmpdir(), "creel-bench-agents-"));
    cleanup.add(dir, () => rmSync(dir, { recursive: true, force: true }));
    const { leader, followers, agents } = await startCluster(dir, cleanup, say);
    const sides = { "the leader": [leader], "the followers": followers, "all agents": [agents] };
    const used = () =>
      Object.values(sides).map((members) => members.reduce((sum, m) => sum + cpuOf(m.pid), 0));
    const cpu: number[][] = Object.values(sides).map(() => []);
    const perSecond: number[] = [];
    const middle: number[] = [];
    const late: number[] = [];
    // the first round is for the compilers: managers and agents run for months
    for (let round = -1; round < rounds; round++) {
      const request: ManagerRequest = { do: "run", tasks: TASKS, services: SERVICES };
      const before = used();
      const { seconds, createdToAssigned } = await leader.ask("seconds", request);
      if (round < 0) continue;
      for (const [i, after] of used().entries()) cpu[i]!.push(((after - before[i]!) / TASKS) * 1e6);
      perSecond.push(TASKS / seconds);
      middle.push(quantile(createdToAssigned, 0.5));
      late.push(quantile(createdToAssigned, 0.99));
      say(`${TASKS} tasks run after ${seconds.toFixed(2)} s`);
    }
    const name = `${AGENTS} agents, ${TASKS} tasks, ${MANAGERS} managers`;
    return [
      measure(
        { name: `${name}: created to running`, unit: "tasks/s", better: "more" },
        perSecond,
        undefined,
        {
          of: "value",
          atLeast: 10_000,
        },
      ),
      measure({ name: `${name}: created to assigned, p50`, unit: "ms", better: "less" }, middle),
      measure({ name: `${name}: created to assigned, p99`, unit: "ms", better: "less" }, late),
      ...Object.keys(sides).map((side, i) =>
        measure({ name: `processor time of ${side}, each task`, unit: "µs", better: "less" }, cpu[i]!),
      ),
    ];
  },
};
