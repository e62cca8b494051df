import { isDeepStrictEqual } from "node:util";
import {
  type Cause,
  type Cluster,
  type Config,
  type Network,
  type Node,
  type Secret,
  type Service,
  type TaskAttachment,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { freeze } from "./freeze.ts";
import { HandleIndex } from "./handle-index.ts";
import { Table } from "./table.ts";
import { type AttachmentShape, groupOf, hasShapes, type TaskGroup, type TaskRow } from "./task-row.ts";
import { StoreView, WAITING } from "./view.ts";

const MAX_TEXTS = 4096;

/** All tables and their indexes, kept in step. */
export class Tables {
  cluster: Cluster | undefined;
  readonly nodes = new Table<Node>();
  readonly services = new Table<Service>();
  readonly networks = new Table<Network>();
  readonly secrets = new Table<Secret>();
  readonly configs = new Table<Config>();
  readonly tasks = new Table<TaskRow>();
  private readonly byService = new HandleIndex();
  private readonly byNode = new HandleIndex();
  private readonly byState = new HandleIndex();
  private readonly waiting = new HandleIndex();
  private readonly shapes = new WeakMap<TaskGroup, readonly AttachmentShape[]>();
  private readonly texts = new Map<string, string>();
  private lastCause: Cause | undefined;
  private readonly groups = new Map<string, { of: Service; group: TaskGroup }>();

  /** Other tables with the same rows: ids are copied, rows are shared until one of the two writes to their page. */
  fork(): Tables {
    const copy = new Tables();
    const parts = copy as unknown as Record<string, unknown>;
    for (const [name, part] of Object.entries(this)) {
      if (part instanceof Table || part instanceof HandleIndex) parts[name] = part.fork();
    }
    copy.cluster = this.cluster;
    for (const [id, group] of this.groups) copy.groups.set(id, group);
    return copy;
  }

  /** The group of tasks made from the service as it is now: the same object until the service changes. */
  groupOf(service: Service): TaskGroup {
    const known = this.groups.get(service.id);
    if (known?.of === service) return known.group;
    const group = groupOf(service);
    const same = known && known.group.specVersion === group.specVersion && sharesParts(known.group, group);
    this.groups.set(service.id, { of: service, group: same ? known.group : group });
    return same ? known.group : group;
  }

  /** The shapes of these attachments; tasks of one group whose shapes are alike share them. */
  shapesOf(group: TaskGroup, attachments: TaskAttachment[]): readonly AttachmentShape[] {
    if (attachments.length === 0) return [];
    const known = this.shapes.get(group);
    if (known && hasShapes(known, attachments)) return known;
    const shapes = freeze(attachments.map(({ networkId, aliases }) => ({ networkId, aliases })));
    this.shapes.set(group, shapes);
    return shapes;
  }

  /** One string object for texts that many tasks have alike. */
  intern(text: string): string {
    if (text === "") return "";
    const known = this.texts.get(text);
    if (known !== undefined) return known;
    if (this.texts.size >= MAX_TEXTS) this.texts.clear();
    this.texts.set(text, text);
    return text;
  }

  /** One object for causes that tasks read one after the other have alike. */
  internCause(cause: Cause | undefined): Cause | undefined {
    if (!cause) return undefined;
    if (!isDeepStrictEqual(cause, this.lastCause)) this.lastCause = Object.freeze(cause);
    return this.lastCause;
  }

  tasksOnNode(nodeId: string): TaskRow[] {
    const handles = this.byNode.of(nodeId);
    return Array.from({ length: handles.length }, (_, i) => this.tasks.at(handles.at(i)!)!);
  }

  dropGroup(serviceId: string): void {
    this.groups.delete(serviceId);
  }

  /** Puts the row; gives the one it takes the place of. */
  putTask(row: TaskRow): TaskRow | undefined {
    const known = this.tasks.handleOf(row.id);
    const before = known === undefined ? undefined : this.tasks.at(known);
    const handle = this.tasks.put(row, known);
    if (!before) this.byService.add(row.group.serviceId, handle);
    move(this.byNode, before?.nodeId ?? "", row.nodeId, handle);
    move(this.byState, before ? String(before.state) : "", String(row.state), handle);
    move(this.waiting, before ? waitingKey(before) : "", waitingKey(row), handle);
    return before;
  }

  removeTask(id: string): TaskRow | undefined {
    const before = this.tasks.get(id);
    if (!before) return undefined;
    const handle = this.tasks.remove(id)!;
    this.byService.remove(before.group.serviceId, handle);
    move(this.byNode, before.nodeId, "", handle);
    this.byState.remove(String(before.state), handle);
    move(this.waiting, waitingKey(before), "", handle);
    return before;
  }

  view(index: number, time: number): StoreView {
    return new StoreView({
      index,
      time,
      cluster: this.cluster,
      nodes: this.nodes.view(),
      services: this.services.view(),
      networks: this.networks.view(),
      secrets: this.secrets.view(),
      configs: this.configs.view(),
      tasks: this.tasks.view(),
      byService: this.byService.view(),
      byNode: this.byNode.view(),
      byState: this.byState.view(),
      waiting: this.waiting.view(),
    });
  }
}

function waitingKey(row: TaskRow): string {
  return row.desiredState === TaskState.TASK_STATE_READY ? WAITING : "";
}

function move(index: HandleIndex, from: string, to: string, handle: number) {
  if (from === to) return;
  if (from !== "") index.remove(from, handle);
  if (to !== "") index.add(to, handle);
}

function sharesParts(a: TaskGroup, b: TaskGroup): boolean {
  return (
    a.serviceName === b.serviceName &&
    a.jobIteration === b.jobIteration &&
    isDeepStrictEqual(a.ports, b.ports) &&
    isDeepStrictEqual(a.serviceLabels, b.serviceLabels)
  );
}
