import type { AssignedNetwork, Assignments } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { type NodeAttachment, type TaskSpec, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { isFinished, isLive, type StoreView, type TaskRecord } from "../store/mod.ts";
import { DataTracker } from "./data.ts";
import type { Endpoints } from "./endpoints.ts";

/** A task as the node was told it, and what it needs there. */
interface Told {
  desired: TaskState;
  spec: TaskSpec;
  /** While it is unfinished. */
  shapes: TaskRecord["shapes"];
  /** It may yet begin to run. */
  live: boolean;
}

const NO_SHAPES: TaskRecord["shapes"] = [];

/** What one node was told so far, and what it is to be told next: only what was touched is looked at again. */
export class AssignmentTracker {
  readonly nodeId: string;
  #full = true;
  #sequence = 0;
  readonly #touched = new Set<string>();
  readonly #tasks = new Map<string, Told>();
  /** How many of the tasks need it. */
  readonly #needed = { networks: new Map<string, number>(), specs: new Map<TaskSpec, number>() };
  /** Network id -> its version and the node's address as last sent. */
  readonly #networks = new Map<string, string>();
  /** Network id -> number of the last change of its picture that was sent. */
  readonly #endpoints = new Map<string, number>();
  readonly #data = new DataTracker();
  #attachments = "";

  constructor(nodeId: string) {
    this.nodeId = nodeId;
  }

  /** Whether the node has been told of this network. */
  knowsNetwork(id: string): boolean {
    return this.#networks.has(id);
  }

  /** The task came to the node, left it, or changed there. */
  touch(taskId: string): void {
    if (!this.#full) this.#touched.add(taskId);
  }

  /** What the pictures were counted by is gone: they are sent whole. */
  forgetEndpoints(): void {
    this.#endpoints.clear();
  }

  /** Anything may have changed. */
  touchAll(view: StoreView): void {
    for (const id of this.#tasks.keys()) this.touch(id);
    for (const task of view.recordsOnNode(this.nodeId)) this.touch(task.id);
  }

  /** What changed for this node since the last call; undefined if nothing. */
  next(view: StoreView, endpoints: Endpoints): Assignments | undefined {
    const message: Assignments = {
      sequence: this.#sequence + 1,
      full: this.#full,
      setTasks: [],
      removeTasks: [],
      setNetworks: [],
      removeNetworks: [],
      endpoints: [],
      setData: [],
      removeData: [],
      specs: [],
      specOf: [],
      attachments: undefined,
    };
    if (this.#full) for (const task of view.recordsOnNode(this.nodeId)) this.#look(task.id, task, message);
    for (const id of this.#touched) this.#look(id, view.record(id), message);
    this.#touched.clear();
    Object.assign(message, this.#data.next(this.#needed.specs.keys(), view));
    const networks = networksFor(this.nodeId, this.#needed.networks.keys(), view);
    this.#diffNetworks(networks, message);
    this.#diffEndpoints(networks, endpoints, message);
    this.#diffAttachments(view, message);
    if (!message.full && isEmpty(message)) return undefined;
    this.#full = false;
    this.#sequence = message.sequence;
    return message;
  }

  #look(id: string, task: TaskRecord | undefined, message: Assignments): void {
    const told = this.#tasks.get(id);
    if (!task || task.nodeId !== this.nodeId || !isAssigned(task)) {
      if (!told) return;
      this.#count(told, -1);
      this.#tasks.delete(id);
      message.removeTasks.push(id);
      return;
    }
    const now: Told = {
      desired: task.desiredState,
      spec: task.spec,
      shapes: isFinished(task) ? NO_SHAPES : task.shapes,
      live: isLive(task),
    };
    this.#count(now, 1);
    if (told) this.#count(told, -1);
    this.#tasks.set(id, now);
    if (told?.desired !== now.desired) addTask(message, task);
  }

  #count({ shapes, live, spec }: Told, sign: 1 | -1): void {
    for (const { networkId } of shapes) add(this.#needed.networks, networkId, sign);
    if (live) add(this.#needed.specs, spec, sign);
  }

  #diffAttachments(view: StoreView, message: Assignments): void {
    const attachments = attachmentsOf(this.nodeId, view);
    const text = JSON.stringify(attachments);
    if (!message.full && text === this.#attachments) return;
    this.#attachments = text;
    message.attachments = { attachments };
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

/** Tasks of one spec, of which a message mostly has several, share it there. */
function addTask({ setTasks, specs, specOf }: Assignments, task: TaskRecord): void {
  const known = specs.lastIndexOf(task.spec);
  specOf.push(known === -1 ? specs.push(task.spec) - 1 : known);
  const told = task.toTask();
  told.spec = undefined;
  setTasks.push(told);
}

/** The node's business, from the scheduler's word until the reaper's. */
function isAssigned(task: TaskRecord): boolean {
  return task.state >= TaskState.TASK_STATE_ASSIGNED;
}

function isEmpty(message: Assignments): boolean {
  const { sequence, full, attachments, ...lists } = message;
  return attachments === undefined && Object.values(lists).every((list) => list.length === 0);
}

function add<K>(counts: Map<K, number>, key: K, sign: 1 | -1): void {
  const sum = (counts.get(key) ?? 0) + sign;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}

/** Those that have an address, or can have none. */
function attachmentsOf(nodeId: string, view: StoreView): NodeAttachment[] {
  const all = view.node(nodeId)?.attachments ?? [];
  return all.filter(({ address, err }) => address !== "" || err !== "");
}

/** Networks that the node's tasks and other containers need; and ingress, since every node answers published ports. */
function networksFor(
  nodeId: string,
  needed: Iterable<string>,
  view: StoreView,
): Map<string, AssignedNetwork> {
  const ids = new Set(needed);
  const node = view.node(nodeId);
  for (const { networkId } of attachmentsOf(nodeId, view)) ids.add(networkId);
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
