import type { Millis } from "@creel/shared";
import {
  Cluster,
  type Config,
  type Network,
  type Node,
  type Secret,
  type Service,
  type Task,
  type TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { HandleIndexView } from "./handle-index.ts";
import type { TableView } from "./table.ts";
import type { TaskRecord, TaskRow } from "./task-row.ts";

/** The parts a view is made of; only the store makes one. */
export interface ViewParts {
  index: number;
  time: Millis;
  cluster: Cluster | undefined;
  nodes: TableView<Node>;
  services: TableView<Service>;
  networks: TableView<Network>;
  secrets: TableView<Secret>;
  configs: TableView<Config>;
  tasks: TableView<TaskRow>;
  byService: HandleIndexView;
  byNode: HandleIndexView;
  byState: HandleIndexView;
  waiting: HandleIndexView;
}

const NO_CLUSTER: Cluster = Object.freeze(Cluster.fromPartial({}));

/**
 * The cluster's state at one log index; it never changes. Objects it gives are the store's own: read them, never write
 * to them (all but tasks are frozen).
 */
export class StoreView {
  readonly index: number;
  /** Time of the last entry. */
  readonly time: Millis;
  private readonly parts: ViewParts;

  constructor(parts: ViewParts) {
    this.parts = parts;
    this.index = parts.index;
    this.time = parts.time;
  }

  /** With an empty id while there is none. */
  cluster(): Cluster {
    return this.parts.cluster ?? NO_CLUSTER;
  }

  nodes(): Node[] {
    return [...this.parts.nodes];
  }
  node(id: string): Node | undefined {
    return this.parts.nodes.get(id);
  }

  services(): Service[] {
    return [...this.parts.services];
  }
  service(id: string): Service | undefined {
    return this.parts.services.get(id);
  }
  serviceByName(name: string): Service | undefined {
    return this.parts.services.find((s) => s.spec?.name === name);
  }

  networks(): Network[] {
    return [...this.parts.networks];
  }
  network(id: string): Network | undefined {
    return this.parts.networks.get(id);
  }
  networkByName(name: string): Network | undefined {
    return this.parts.networks.find((n) => n.spec?.name === name);
  }
  /** The network of published ports. */
  ingressNetwork(): Network | undefined {
    return this.parts.networks.find((n) => n.spec?.ingress === true);
  }

  secrets(): Secret[] {
    return [...this.parts.secrets];
  }
  secret(id: string): Secret | undefined {
    return this.parts.secrets.get(id);
  }
  secretByName(name: string): Secret | undefined {
    return this.parts.secrets.find((s) => s.spec?.name === name);
  }

  configs(): Config[] {
    return [...this.parts.configs];
  }
  config(id: string): Config | undefined {
    return this.parts.configs.get(id);
  }
  configByName(name: string): Config | undefined {
    return this.parts.configs.find((c) => c.spec?.name === name);
  }

  /** How many objects of each kind there are. */
  counts(): Record<"nodes" | "services" | "networks" | "secrets" | "configs" | "tasks", number> {
    const { nodes, services, networks, secrets, configs, tasks } = this.parts;
    return {
      nodes: nodes.size,
      services: services.size,
      networks: networks.size,
      secrets: secrets.size,
      configs: configs.size,
      tasks: tasks.size,
    };
  }

  task(id: string): Task | undefined {
    return this.parts.tasks.get(id)?.toTask();
  }
  tasks(): Task[] {
    return [...this.records()].map((t) => t.toTask());
  }
  tasksOfService(serviceId: string): Task[] {
    return this.recordsOfService(serviceId).map((t) => t.toTask());
  }
  tasksOnNode(nodeId: string): Task[] {
    return this.recordsOnNode(nodeId).map((t) => t.toTask());
  }
  tasksInState(state: TaskState): Task[] {
    return this.recordsInState(state).map((t) => t.toTask());
  }

  /** The task as it lies in the store: cheaper than {@link task}. */
  record(id: string): TaskRecord | undefined {
    return this.parts.tasks.get(id);
  }
  records(): Iterable<TaskRecord> {
    return this.parts.tasks;
  }
  recordsOfService(serviceId: string): TaskRecord[] {
    return this.resolve(this.parts.byService, serviceId);
  }
  recordsOnNode(nodeId: string): TaskRecord[] {
    return this.resolve(this.parts.byNode, nodeId);
  }
  recordsInState(state: TaskState): TaskRecord[] {
    return this.resolve(this.parts.byState, String(state));
  }
  /** Tasks whose turn to run has not come: desired state READY. */
  recordsWaiting(): TaskRecord[] {
    return this.resolve(this.parts.waiting, WAITING);
  }
  countInState(state: TaskState): number {
    return this.parts.byState.of(String(state)).length;
  }

  private resolve(index: HandleIndexView, key: string): TaskRecord[] {
    const handles = index.of(key);
    const found = new Array<TaskRecord>(handles.length);
    for (let i = 0; i < found.length; i++) found[i] = this.parts.tasks.at(handles.at(i)!)!;
    return found;
  }
}

/** The one key of the index of waiting tasks. */
export const WAITING = "waiting";
