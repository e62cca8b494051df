import { setTimeout as delay } from "node:timers/promises";
import type { MetricsPort } from "@creel/api";
import type { Manager } from "@creel/manager";
import { CreelError, messageOf } from "@creel/shared";
import { NodeState, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { EngineClient } from "@creel/worker";
import { collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const SCRAPE_MS = 5_000;
const LAG_PRECISION_MS = 10;
const CONTAINER_STATES = ["running", "paused", "stopped"] as const;

/** What the figures are read from when somebody asks. */
export interface MetricsSources {
  engine: EngineClient;
  /** This node's manager; undefined where it is none. */
  manager(): Manager | undefined;
  inSwarm(): boolean;
  version: string;
  commit: string;
}

/** The figures of a node, under dockerd's names where dockerd has the same figure. */
export class Metrics implements MetricsPort {
  readonly #registry = new Registry();
  readonly #sources: MetricsSources;
  readonly #requests: Histogram;
  readonly #proposals: Histogram;
  #process: Promise<void> | undefined;
  /** Told by the engine; empty until it has answered. */
  #graphdriver = "";
  #counting: Promise<Map<string, number> | undefined> | undefined;

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    const registers = [this.#registry];
    this.#requests = new Histogram({
      name: "creel_api_request_seconds",
      help: "Time from a request's head to the end of its answer",
      labelNames: ["method", "route", "status"],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
      registers,
    });
    this.#proposals = new Histogram({
      name: "swarm_raft_transaction_latency_seconds",
      help: "Time from the proposal of a change to its being applied",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    });
    this.#node();
    this.#containers();
    this.#objects();
    this.#raft();
  }

  request(method: string, route: string, status: number, seconds: number): void {
    this.#requests.observe({ method, route, status: String(status) }, seconds);
  }

  /** A change that this node's manager had agreed on, and the ms that took. */
  proposed(ms: number): void {
    this.#proposals.observe(ms / 1000);
  }

  async render(): Promise<{ contentType: string; text: string }> {
    this.#process ??= this.#watchProcess();
    await this.#process;
    try {
      return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
    } catch (error) {
      throw new CreelError("internal", { message: `no metrics: ${messageOf(error)}` }, { cause: error });
    }
  }

  /** From the first request on: the event loop's lag is measured by a timer, which an idle node need not have. */
  async #watchProcess(): Promise<void> {
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
    await delay(3 * LAG_PRECISION_MS);
  }

  #node(): void {
    const { version, commit, engine } = this.#sources;
    this.#gauge(
      "engine_daemon_engine_info",
      "What runs here",
      ["version", "commit", "graphdriver"],
      async (gauge) => {
        this.#graphdriver ||= await engine.engine.info({}, { timeoutMs: SCRAPE_MS }).then(
          ({ storageDriver }) => storageDriver,
          () => "",
        );
        gauge.reset();
        gauge.set({ version, commit, graphdriver: this.#graphdriver }, 1);
      },
    );
    this.#gauge("swarm_node_info", "Whether this node is in a swarm", [], (gauge) =>
      gauge.set(this.#sources.inSwarm() ? 1 : 0),
    );
    this.#gauge("swarm_node_manager", "Whether this node is a manager", [], (gauge) =>
      gauge.set(this.#sources.manager() ? 1 : 0),
    );
  }

  #containers(): void {
    this.#gauge("creel_engine_up", "Whether creel-engine answered this scrape", [], async (gauge) =>
      gauge.set((await this.#count()) ? 1 : 0),
    );
    this.#gauge(
      "engine_daemon_container_states_containers",
      "Containers by state",
      ["state"],
      async (gauge) => {
        const counts = await this.#count();
        gauge.reset();
        for (const [state, count] of counts ?? []) gauge.set({ state }, count);
      },
    );
  }

  /** Containers by state, asked once a scrape; undefined where the engine does not answer. */
  #count(): Promise<Map<string, number> | undefined> {
    this.#counting ??= this.#sources.engine.containers
      .list({ all: true, labels: {} }, { timeoutMs: SCRAPE_MS })
      .then(
        ({ containers }) => {
          const counts = new Map<string, number>(CONTAINER_STATES.map((state) => [state, 0]));
          for (const { state } of containers) {
            const status = state?.status ?? "";
            const name = counts.has(status) ? status : "stopped";
            counts.set(name, counts.get(name)! + 1);
          }
          return counts;
        },
        () => undefined,
      )
      .finally(() => {
        this.#counting = undefined;
      });
    return this.#counting;
  }

  #objects(): void {
    this.#ofManager("swarm_manager_nodes", "Nodes by state", ["state"], (gauge, manager) => {
      tally(gauge, manager.view().nodes(), nodeStateNames, (node) => node.status?.state ?? 0);
    });
    this.#ofManager("swarm_manager_tasks_total", "Tasks by state", ["state"], (gauge, manager) => {
      tally(gauge, manager.view().tasks(), taskStateNames, (task) => task.status?.state ?? 0);
    });
    this.#ofManager("swarm_manager_services_total", "Services", [], (gauge, manager) =>
      gauge.set(manager.view().services().length),
    );
    this.#ofManager("swarm_manager_networks_total", "Networks of the swarm", [], (gauge, manager) =>
      gauge.set(manager.view().networks().length),
    );
    this.#ofManager("swarm_manager_leader", "Whether this manager leads", [], (gauge, manager) =>
      gauge.set(manager.leading ? 1 : 0),
    );
    this.#ofManager("creel_dispatcher_sessions", "Agents with a session here", [], (gauge, manager) =>
      gauge.set(manager.figures().sessions),
    );
  }

  #raft(): void {
    const figures = {
      term: "Raft term",
      commit: "Index up to which a majority has the log",
      applied: "Index up to which the store has come",
      lastIndex: "Index of the log's last entry here",
      snapshotIndex: "Index of the last snapshot",
    } as const;
    for (const [name, help] of Object.entries(figures)) {
      const key = name as keyof typeof figures;
      const snake = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      this.#ofManager(`creel_raft_${snake}`, help, [], (gauge, manager) =>
        gauge.set(manager.figures().raft[key]),
      );
    }
    this.#ofManager("creel_raft_voters", "Managers with a vote", [], (gauge, manager) =>
      gauge.set(manager.figures().raft.voters.length),
    );
    this.#ofManager(
      "creel_raft_disk_full",
      "Whether writes wait for room on the disk",
      [],
      (gauge, manager) => gauge.set(manager.figures().raft.diskFull ? 1 : 0),
    );
  }

  #ofManager(
    name: string,
    help: string,
    labelNames: string[],
    read: (gauge: Gauge, manager: Manager) => void,
  ): void {
    this.#gauge(name, help, labelNames, (gauge) => {
      gauge.reset();
      const manager = this.#sources.manager();
      // a worker does not say 0 of what it cannot know
      if (manager) read(gauge, manager);
      else if (labelNames.length === 0) gauge.remove();
    });
  }

  #gauge(
    name: string,
    help: string,
    labelNames: string[],
    collect: (gauge: Gauge) => void | Promise<void>,
  ): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        return collect(this);
      },
    });
  }
}

function tally<T>(gauge: Gauge, all: T[], names: Map<number, string>, stateOf: (one: T) => number): void {
  const counts = new Map<string, number>([...names.values()].map((name) => [name, 0]));
  for (const one of all) {
    const name = names.get(stateOf(one)) ?? "unknown";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  for (const [state, count] of counts) gauge.set({ state }, count);
}

function namesOf(states: Record<string, string | number>, prefix: string): Map<number, string> {
  return new Map(
    Object.entries(states)
      .filter(([name, value]) => name.startsWith(prefix) && Number(value) >= 0)
      .map(([name, value]) => [Number(value), name.slice(prefix.length).toLowerCase()]),
  );
}

const nodeStateNames = namesOf(NodeState, "NODE_STATE_");
const taskStateNames = namesOf(TaskState, "TASK_STATE_");
