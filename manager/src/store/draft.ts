import type { ErrorCode, Millis } from "@creel/shared";
import type {
  Cause,
  Cluster,
  Config,
  Meta,
  Network,
  Node,
  Secret,
  Service,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Change, type ChangeSet, noteChange, type Refusal } from "./changes.ts";
import type { Tables } from "./tables.ts";
import type { TaskRecord, TaskRow } from "./task-row.ts";

/** Why an action (or an item of one) was not carried out; undefined when it was. */
export type Outcome = { code: ErrorCode; params: Record<string, string | number> } | undefined;

export function deny(code: ErrorCode, params: Record<string, string | number> = {}): Outcome {
  return { code, params };
}

/** The store while one entry is applied: every write passes here and is noted. */
export class Draft {
  readonly index: number;
  readonly time: Millis;
  readonly tables: Tables;
  /** Position of the action at work. */
  action = 0;
  private readonly from: number;
  private clusterChanged = false;
  private readonly nodes = new Map<string, Change<Node>>();
  private readonly services = new Map<string, Change<Service>>();
  private readonly networks = new Map<string, Change<Network>>();
  private readonly secrets = new Map<string, Change<Secret>>();
  private readonly configs = new Map<string, Change<Config>>();
  private readonly tasks = new Map<string, Change<TaskRecord>>();
  private readonly refusals: Refusal[] = [];

  constructor(tables: Tables, from: number, index: number, time: Millis) {
    this.tables = tables;
    this.from = from;
    this.index = index;
    this.time = time;
  }

  /** Writes down a refusal: of the action, or of the item at that position in its list. */
  note(outcome: Outcome, item = -1): void {
    if (outcome) this.refusals.push({ action: this.action, item, ...outcome });
  }

  /** The cause as tasks keep it: with the entry's time. */
  cause(cause: Cause | undefined): Cause | undefined {
    return cause && Object.freeze({ ...cause, at: this.time });
  }

  setCluster(cluster: Cluster): void {
    this.tables.cluster = cluster;
    this.clusterChanged = true;
  }

  putNode(node: Node): void {
    noteChange(this.nodes, node.id, this.tables.nodes.get(node.id), node);
    this.tables.nodes.put(node);
  }
  removeNode(id: string): void {
    noteChange(this.nodes, id, this.tables.nodes.get(id), undefined);
    this.tables.nodes.remove(id);
  }

  putService(service: Service): void {
    noteChange(this.services, service.id, this.tables.services.get(service.id), service);
    this.tables.services.put(service);
  }
  removeService(id: string): void {
    noteChange(this.services, id, this.tables.services.get(id), undefined);
    this.tables.services.remove(id);
  }

  putNetwork(network: Network): void {
    noteChange(this.networks, network.id, this.tables.networks.get(network.id), network);
    this.tables.networks.put(network);
  }
  removeNetwork(id: string): void {
    noteChange(this.networks, id, this.tables.networks.get(id), undefined);
    this.tables.networks.remove(id);
  }

  putSecret(secret: Secret): void {
    noteChange(this.secrets, secret.id, this.tables.secrets.get(secret.id), secret);
    this.tables.secrets.put(secret);
  }
  removeSecret(id: string): void {
    noteChange(this.secrets, id, this.tables.secrets.get(id), undefined);
    this.tables.secrets.remove(id);
  }

  putConfig(config: Config): void {
    noteChange(this.configs, config.id, this.tables.configs.get(config.id), config);
    this.tables.configs.put(config);
  }
  removeConfig(id: string): void {
    noteChange(this.configs, id, this.tables.configs.get(id), undefined);
    this.tables.configs.remove(id);
  }

  /** Puts a row that nobody else holds yet. */
  putTask(row: TaskRow): void {
    row.version = this.index;
    row.updatedAt = this.time;
    const before = this.tables.putTask(row);
    noteChange(this.tasks, row.id, before, row);
  }
  removeTask(id: string): void {
    const before = this.tables.removeTask(id);
    if (before) noteChange(this.tasks, id, before, undefined);
  }

  done(): ChangeSet {
    return {
      from: this.from,
      index: this.index,
      time: this.time,
      full: false,
      cluster: this.clusterChanged,
      nodes: this.nodes,
      services: this.services,
      networks: this.networks,
      secrets: this.secrets,
      configs: this.configs,
      tasks: this.tasks,
      refusals: this.refusals,
    };
  }
}

/** What the store writes of an object's change. */
export function metaOf(draft: Draft, known: { meta: Meta | undefined } | undefined): Meta {
  return {
    version: draft.index,
    createdAt: known?.meta?.createdAt ?? draft.time,
    updatedAt: draft.time,
  };
}

/** Whether the object has the version that a change was made against; 0: any. */
export function versionFits(known: { meta: Meta | undefined } | undefined, ifVersion: number): boolean {
  return ifVersion === 0 || known?.meta?.version === ifVersion;
}
