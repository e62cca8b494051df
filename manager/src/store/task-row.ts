import type { Millis } from "@creel/shared";
import {
  type Cause,
  type GenericResource,
  type PortConfig,
  type Service,
  type Task,
  type TaskAttachment,
  type TaskSpec,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { formatIp, parseIp } from "./ip.ts";
import { packId, packSpan, unpackId, unpackSpan } from "./pack.ts";

/** What all tasks made from one version of a service have in common; held once. */
export interface TaskGroup {
  readonly serviceId: string;
  readonly serviceName: string;
  readonly serviceLabels: Record<string, string>;
  readonly spec: TaskSpec;
  readonly specVersion: number;
  readonly ports: PortConfig[];
  readonly jobIteration: number;
}

/** A network of a task, without the task's own address; shared by tasks alike. */
export interface AttachmentShape {
  readonly networkId: string;
  readonly aliases: string[];
}

/** Runs since before it was made: that cannot be. */
const NEVER = -1;
const NO_PORTS: PortConfig[] = Object.freeze([]) as unknown as PortConfig[];
const NO_RESOURCES: GenericResource[] = Object.freeze([]) as unknown as GenericResource[];
const NO_SHAPES: readonly AttachmentShape[] = [];

/** What few tasks have; all others share one object that says so. */
interface Rare {
  readonly exitCode: number;
  readonly hostPorts: PortConfig[];
  readonly genericResources: GenericResource[];
  readonly stoppedBy: Cause | undefined;
}

const NOTHING_RARE: Rare = Object.freeze({
  exitCode: 0,
  hostPorts: NO_PORTS,
  genericResources: NO_RESOURCES,
  stoppedBy: undefined,
});

/** One task, flat; never changed once it is in the store. */
export class TaskRow {
  readonly id: string;
  group: TaskGroup;
  slot = 0;
  nodeId = "";
  desiredState: TaskState = TaskState.TASK_STATE_NEW;
  state: TaskState = TaskState.TASK_STATE_NEW;
  /** Log index of the last change. */
  version = 0;
  createdAt = 0;
  message = "";
  err = "";
  pid = 0;
  shapes: readonly AttachmentShape[] = NO_SHAPES;
  /** Addresses in the order of `shapes`: one alone is the number itself. */
  addresses: number | readonly number[] = 0;
  /** One object for all tasks that one action made. */
  madeBy: Cause | undefined = undefined;
  /** Times are kept as spans from `createdAt`, which is to be set first: they lie in the row itself. */
  private updated = 0;
  private status = 0;
  private run = NEVER;
  private container = "";
  private rare = NOTHING_RARE;

  constructor(id: string, group: TaskGroup) {
    this.id = id;
    this.group = group;
  }

  get serviceId(): string {
    return this.group.serviceId;
  }
  get spec(): TaskSpec {
    return this.group.spec;
  }
  get specVersion(): number {
    return this.group.specVersion;
  }

  get updatedAt(): Millis {
    return this.createdAt + unpackSpan(this.updated);
  }
  set updatedAt(at: Millis) {
    this.updated = packSpan(at - this.createdAt);
  }
  /** When the status was reported, by the reporter's clock. */
  get statusAt(): Millis {
    return this.createdAt + unpackSpan(this.status);
  }
  set statusAt(at: Millis) {
    this.status = packSpan(at - this.createdAt);
  }
  /** When it was first known to run, by the managers' clock; 0: never. */
  get runningSince(): Millis {
    return this.run === NEVER ? 0 : this.createdAt + unpackSpan(this.run);
  }
  set runningSince(at: Millis) {
    this.run = at === 0 ? NEVER : packSpan(at - this.createdAt);
  }
  get containerId(): string {
    return unpackId(this.container);
  }
  set containerId(id: string) {
    this.container = packId(id);
  }

  get exitCode(): number {
    return this.rare.exitCode;
  }
  set exitCode(exitCode: number) {
    if (exitCode !== this.rare.exitCode) this.rare = { ...this.rare, exitCode };
  }
  get hostPorts(): PortConfig[] {
    return this.rare.hostPorts;
  }
  set hostPorts(hostPorts: PortConfig[]) {
    if (hostPorts !== this.rare.hostPorts) this.rare = { ...this.rare, hostPorts };
  }
  get genericResources(): GenericResource[] {
    return this.rare.genericResources;
  }
  set genericResources(genericResources: GenericResource[]) {
    if (genericResources !== this.rare.genericResources) this.rare = { ...this.rare, genericResources };
  }
  get stoppedBy(): Cause | undefined {
    return this.rare.stoppedBy;
  }
  set stoppedBy(stoppedBy: Cause | undefined) {
    if (stoppedBy !== this.rare.stoppedBy) this.rare = { ...this.rare, stoppedBy };
  }

  clone(): TaskRow {
    const row = new TaskRow(this.id, this.group);
    row.slot = this.slot;
    row.nodeId = this.nodeId;
    row.desiredState = this.desiredState;
    row.state = this.state;
    row.version = this.version;
    row.createdAt = this.createdAt;
    row.updated = this.updated;
    row.status = this.status;
    row.run = this.run;
    row.container = this.container;
    row.message = this.message;
    row.err = this.err;
    row.pid = this.pid;
    row.shapes = this.shapes;
    row.addresses = this.addresses;
    row.madeBy = this.madeBy;
    row.rare = this.rare;
    return row;
  }

  attach(shapes: readonly AttachmentShape[], attachments: TaskAttachment[]): void {
    const addresses = attachments.map((a) => parseIp(a.address) ?? 0);
    this.shapes = shapes;
    this.addresses = addresses.length > 1 ? addresses : (addresses[0] ?? 0);
  }

  /** The address (as a number) on the n-th of `shapes`. */
  addressAt(n: number): number {
    return typeof this.addresses === "number" ? this.addresses : (this.addresses[n] ?? 0);
  }

  attachments(): TaskAttachment[] {
    return this.shapes.map(({ networkId, aliases }, n) => ({
      networkId,
      address: formatIp(this.addressAt(n)),
      aliases,
    }));
  }

  /** The task as the contract has it. */
  toTask(): Task {
    return {
      id: this.id,
      meta: { version: this.version, createdAt: this.createdAt, updatedAt: this.updatedAt },
      serviceId: this.group.serviceId,
      slot: this.slot,
      nodeId: this.nodeId,
      spec: this.group.spec,
      specVersion: this.group.specVersion,
      serviceName: this.group.serviceName,
      serviceLabels: this.group.serviceLabels,
      desiredState: this.desiredState,
      status: {
        state: this.state,
        timestamp: this.statusAt,
        message: this.message,
        err: this.err,
        containerId: this.containerId,
        pid: this.pid,
        exitCode: this.exitCode,
        hostPorts: this.hostPorts,
      },
      attachments: this.attachments(),
      ports: this.group.ports,
      jobIteration: this.group.jobIteration,
      runningSince: this.runningSince,
      genericResources: this.genericResources,
      madeBy: this.madeBy,
      stoppedBy: this.stoppedBy,
    };
  }
}

/** A task as loops and the scheduler read it: no object is made for it. */
export type TaskRecord = Readonly<TaskRow>;

/** The group of tasks made from the service as it is now. */
export function groupOf(service: Service): TaskGroup {
  return {
    serviceId: service.id,
    serviceName: service.spec?.name ?? "",
    serviceLabels: service.spec?.labels ?? {},
    spec: service.spec!.task!,
    specVersion: service.specVersion,
    ports: service.ports,
    jobIteration: service.jobStatus?.iteration ?? 0,
  };
}

/** Whether the attachments are those shapes, addresses left aside. */
export function hasShapes(shapes: readonly AttachmentShape[], attachments: TaskAttachment[]): boolean {
  if (shapes.length !== attachments.length) return false;
  return shapes.every(({ networkId, aliases }, n) => {
    const other = attachments[n]!;
    return (
      networkId === other.networkId &&
      aliases.length === other.aliases.length &&
      aliases.every((alias, i) => alias === other.aliases[i])
    );
  });
}
