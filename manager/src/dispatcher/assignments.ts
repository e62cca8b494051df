import type { AssignedNetwork, Assignments } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView, TaskRecord } from "../store/mod.ts";
import { DataTracker } from "./data.ts";
import type { Endpoints } from "./endpoints.ts";

/** What one node was told so far, and what it is to be told next. */
export class AssignmentTracker {
  readonly nodeId: string;
  #full = true;
  #sequence = 0;
  /** Task id -> the desired state last sent: nothing else of an assigned task changes. */
  readonly #tasks = new Map<string, TaskState>();
  /** Network id -> its version and the node's address as last sent. */
  readonly #networks = new Map<string, string>();
  /** Network id -> number of the last change of its picture that was sent. */
  readonly #endpoints = new Map<string, number>();
  readonly #data = new DataTracker();

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  /** Whether the node has been told of this network. */
  knowsNetwork(id: string): boolean {
    return this.#networks.has(id);
  }

  /** What the pictures were counted by is gone: they are sent whole. */
  forgetEndpoints(): void {
    this.#endpoints.clear();
  }

  /** What changed for this node since the last call; undefined if nothing. */
  next(view: StoreView, endpoints: Endpoints): Assignments | undefined {
    const tasks = view.recordsOnNode(this.nodeId).filter(isAssigned);
    const message: Assignments = {
      sequence: this.#sequence + 1,
      full: this.#full,
      setTasks: [],
      removeTasks: [],
      setNetworks: [],
      removeNetworks: [],
      endpoints: [],
      ...this.#data.next(tasks, view),
    };
    this.#diffTasks(tasks, message);
    const networks = networksFor(this.nodeId, tasks, view);
    this.#diffNetworks(networks, message);
    this.#diffEndpoints(networks, endpoints, message);
    if (!message.full && isEmpty(message)) return undefined;
    this.#full = false;
    this.#sequence = message.sequence;
    return message;
  }

  #diffTasks(tasks: TaskRecord[], message: Assignments): void {
    const now = new Set<string>();
    for (const task of tasks) {
      now.add(task.id);
      if (this.#tasks.get(task.id) === task.desiredState) continue;
      this.#tasks.set(task.id, task.desiredState);
      message.setTasks.push(task.toTask());
    }
    for (const id of this.#tasks.keys()) {
      if (now.has(id)) continue;
      this.#tasks.delete(id);
      message.removeTasks.push(id);
    }
  }

  #diffNetworks(networks: Map<string, AssignedNetwork>, message: Assignments): void {
    for (const [id, assigned] of networks) {
      const text = `${assigned.network!.meta?.version} ${assigned.nodeAddress}`;
      if (this.#networks.get(id) === text) continue;
      this.#networks.set(id, text);
      message.setNetworks.push(assigned);
    }
    for (const id of this.#networks.keys()) {
      if (networks.has(id)) continue;
      this.#networks.delete(id);
      this.#endpoints.delete(id);
      message.removeNetworks.push(id);
    }
  }

  #diffEndpoints(networks: Map<string, AssignedNetwork>, endpoints: Endpoints, message: Assignments): void {
    for (const id of networks.keys()) {
      const picture = endpoints.picture(id);
      const delta = picture?.delta(this.nodeId, this.#endpoints.get(id));
      if (!picture || !delta) continue;
      this.#endpoints.set(id, picture.version);
      message.endpoints.push(delta);
    }
  }
}

/** The node's business, from the scheduler's word until the reaper's. */
function isAssigned(task: TaskRecord): boolean {
  return task.state >= TaskState.TASK_STATE_ASSIGNED;
}

function isEmpty(message: Assignments): boolean {
  const { sequence, full, ...lists } = message;
  return Object.values(lists).every((list) => list.length === 0);
}

/** Networks of the node's unfinished tasks; and ingress, since every node answers published ports. */
function networksFor(nodeId: string, tasks: TaskRecord[], view: StoreView): Map<string, AssignedNetwork> {
  const ids = new Set<string>();
  for (const task of tasks) {
    if (task.state > TaskState.TASK_STATE_RUNNING) continue;
    for (const shape of task.shapes) ids.add(shape.networkId);
  }
  const node = view.node(nodeId);
  for (const network of view.networks()) if (network.spec?.ingress) ids.add(network.id);
  const networks = new Map<string, AssignedNetwork>();
  for (const id of ids) {
    const network = view.network(id);
    const nodeAddress = node?.addresses[id] ?? "";
    if (!network || network.subnet === "" || (network.spec?.ingress && nodeAddress === "")) continue;
    networks.set(id, { network, nodeAddress });
  }
  return networks;
}
