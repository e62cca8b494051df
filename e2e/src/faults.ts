import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ask, type Target } from "../../tools/src/demo/requests.ts";
import type { TaskView } from "../../tools/src/demo/service.ts";
import type { Lab } from "../../tools/src/lab/lab.ts";
import type { RestError } from "../../tools/src/rest.ts";
import { docker } from "./cli.ts";
import { loadUsual } from "./images.ts";
import { until } from "./wait.ts";

/** What a node's service manager and its daemon keep running. */
export type Program = "creeld" | "engine";

/** Loads the usual images, and lets the cluster notice within seconds that a node is lost. */
export async function prepare(lab: Lab): Promise<void> {
  await loadUsual(lab);
  await docker(lab).ok("swarm", "update", "--dispatcher-heartbeat", "1s");
}

/** A prepared lab with a service to watch: four replicas of `web`, published on `port`, started again soon. */
export async function serveWeb(lab: Lab, port: number): Promise<void> {
  await prepare(lab);
  const options = ["--replicas", "4", "-p", `${port}:8080`, "--restart-delay", "500ms"];
  await docker(lab).ok("service", "create", "-q", "--name", "web", ...options, "whoami");
}

/** The file with the process id of a node's program. */
export function programFile(lab: Lab, node: string, program: Program): string {
  return join(lab.dir, node, program === "creeld" ? "creeld.pid" : "run/engine.pid");
}

/** The process id of a node's program, as its host sees it. */
export function pidOf(lab: Lab, node: string, program: Program): number {
  return Number(readFileSync(programFile(lab, node, program), "utf8"));
}

/** Sends SIGKILL to processes of a host, in this order. */
export function killNow(lab: Lab, node: string, ...pids: number[]): void {
  const { code, stderr } = lab.exec(node, ["kill", "-9", ...pids.map(String)]);
  assert.equal(code, 0, stderr);
}

/** Kills a node's program and waits until another process has taken its place and answers. */
export async function killProgram(
  lab: Lab,
  node: string,
  program: Program,
  ...also: number[]
): Promise<void> {
  const before = pidOf(lab, node, program);
  killNow(lab, node, before, ...also);
  await until(`another ${program} on ${node}`, async () => {
    const now = pidOf(lab, node, program);
    return now !== before && lab.exec(node, ["kill", "-0", String(now)]).code === 0;
  });
  await until(`${node}'s engine answers`, () => lab.rest(node).get("/containers/json"));
}

/** The running containers of a node, by name: the process id of each. */
export async function processIds(lab: Lab, node: string): Promise<Map<string, number>> {
  const rest = lab.rest(node);
  const found = new Map<string, number>();
  for (const { Id } of await rest.get<{ Id: string }[]>("/containers/json")) {
    const view = await rest
      .get<{ Name: string; State: { Pid: number } }>(`/containers/${Id}/json`)
      .catch((error: RestError) => {
        if (error.status !== 404) throw error;
      });
    if (view) found.set(view.Name, view.State.Pid);
  }
  return new Map([...found].sort());
}

/** A task, and the addresses that it has on networks. */
export interface ClusterTask extends TaskView {
  NetworksAttachments: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

/** All wanted tasks that run, by id, of the whole cluster or one service. */
export async function runningTasks(lab: Lab, via: string, service?: string): Promise<ClusterTask[]> {
  const filters = { "desired-state": ["running"], ...(service && { service: [service] }) };
  const tasks = await lab
    .rest(via)
    .call<ClusterTask[]>(
      "GET",
      `/tasks?filters=${encodeURIComponent(JSON.stringify(filters))}`,
      undefined,
      3000,
    );
  return tasks.filter((task) => task.Status.State === "running");
}

/** The ids of tasks, sorted. */
export function ids(tasks: { ID: string }[]): string[] {
  return tasks.map(({ ID }) => ID).sort();
}

interface NodeView {
  ID: string;
  Spec: { Role: string };
  Description: { Hostname: string };
  Status: { State: string };
  ManagerStatus?: { Leader?: boolean; Reachability: string };
}

/** The cluster's nodes by host name, as `via` knows them. */
export async function nodesBy(lab: Lab, via: string): Promise<Map<string, NodeView>> {
  const nodes = await lab.rest(via).call<NodeView[]>("GET", "/nodes", undefined, 3000);
  return new Map(nodes.map((node) => [node.Description.Hostname, node]));
}

/** Resolves when the cluster says that the node is in this state. */
export async function nodeState(
  lab: Lab,
  via: string,
  node: string,
  state: string,
  within?: number,
): Promise<void> {
  await until(
    `${node} ${state}`,
    async () => (await nodesBy(lab, via)).get(node)?.Status.State === state,
    within,
  );
}

/** Removes a node that has left from the cluster: another of its name may have joined since. */
export async function removeLeft(lab: Lab, via: string, node: string): Promise<void> {
  const gone = await until(`${node}, which has left, is down`, async () => {
    const nodes = await lab.rest(via).get<NodeView[]>("/nodes");
    return nodes.find(({ Description, Status }) => Description.Hostname === node && Status.State === "down");
  });
  await docker(lab, via).ok("node", "rm", gone.ID);
}

/** The leader's host name, in the words of `via`; undefined while there is none. */
export async function leader(lab: Lab, via: string): Promise<string | undefined> {
  for (const [name, node] of await nodesBy(lab, via)) if (node.ManagerStatus?.Leader) return name;
  return undefined;
}

/** Resolves when another node than `old` leads, in the words of `via`. */
export async function anotherLeader(lab: Lab, via: string, old: string): Promise<void> {
  await until("another leader", async () => {
    const now = await leader(lab, via);
    return now !== undefined && now !== old;
  });
}

/** Requests to every host in turn, until it is stopped: when they failed. */
export class Traffic {
  readonly failures: { at: number; host: string; why: string }[] = [];
  total = 0;
  readonly #done: Promise<void>;
  #stopped = false;

  /** A request fails that is not answered within `timeoutMs`. */
  constructor(hosts: Target[], port: number, pauseMs = 20, timeoutMs = 10_000) {
    this.#done = this.#run(hosts, port, pauseMs, timeoutMs);
  }

  /** No request is on its way any more. */
  async stop(): Promise<this> {
    this.#stopped = true;
    await this.#done;
    return this;
  }

  /** From the first failed request to the last, in milliseconds; 0 when none failed. */
  get failedFor(): number {
    const times = this.failures.map(({ at }) => at);
    return times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
  }

  async #run(hosts: Target[], port: number, pauseMs: number, timeoutMs: number): Promise<void> {
    const open = new Set<Promise<void>>();
    for (let turn = 0; !this.#stopped; turn++) {
      const host = hosts[turn % hosts.length]!;
      const at = Date.now();
      this.total++;
      const one: Promise<void> = ask(host.address, port, timeoutMs).then(
        () => {},
        (error: Error) => void this.failures.push({ at, host: host.name, why: error.message }),
      );
      open.add(one);
      void one.then(() => open.delete(one));
      if (open.size >= 50) await Promise.race(open);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    await Promise.all(open);
  }
}

/** Runs `work`; how long it took, in milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** A measured number beside the test that took it. */
export function note(text: string): void {
  console.log(`        ${text}`);
}

/** `1.23 s` */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
