import { type ChangeSet, Store } from "@creel/manager/store";
import { type Action, PutService } from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  Availability,
  Cause,
  CauseKind,
  Node,
  NodeRole,
  NodeState,
  Service,
  TaskSpec,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";

const BATCH = 1000;
const GIB = 2 ** 30;

/** What is to be placed, and where. */
export interface World {
  nodes: number;
  tasks: number;
  services: number;
  /** With three constraints, two spread levels and reservations. */
  demanding: boolean;
}

/** A store with all nodes ready and all tasks waiting for theirs, and how to write to it further. */
export class StoreWriter {
  readonly store = new Store();
  private index = 0;

  apply(...actions: Action[]): ChangeSet {
    const changed = this.store.apply({ time: 1_700_000_000_000, actions }, ++this.index);
    const [refusal] = changed.refusals;
    if (refusal) throw new Error(`the store refused: ${JSON.stringify(refusal)}`);
    return changed;
  }

  /** Many items of one action, in entries of the size that the orchestrator makes. */
  applyMany<T>(items: T[], action: (batch: T[]) => Action): void {
    for (let i = 0; i < items.length; i += BATCH) this.apply(action(items.slice(i, i + BATCH)));
  }
}

export function makeWorld({ nodes, tasks, services, demanding }: World): StoreWriter {
  const writer = new StoreWriter();
  for (let i = 0; i < nodes; i++) {
    writer.apply({ kind: { $case: "putNode", value: { node: aNode(i), ifVersion: 0 } } });
  }
  let made = 0;
  for (let s = 0; s < services; s++) {
    const replicas = Math.floor((tasks * (s + 1)) / services) - made;
    writer.apply({
      kind: { $case: "putService", value: putService(s, replicas, demanding) },
    });
    const ids = Array.from({ length: replicas }, (_, i) => flat((made + i).toString(36).padStart(25, "0")));
    const serviceId = idOf("service", s);
    writer.applyMany(ids, (batch) => ({
      kind: {
        $case: "createTasks",
        value: {
          serviceId,
          cause: Cause.fromPartial({ kind: CauseKind.CAUSE_MODE }),
          tasks: batch.map((id, i) => ({
            id,
            slot: i + 1,
            nodeId: "",
            desiredState: TaskState.TASK_STATE_RUNNING,
          })),
        },
      },
    }));
    writer.applyMany(ids, (batch) => ({
      kind: {
        $case: "allocateTasks",
        value: { tasks: batch.map((taskId) => ({ taskId, attachments: [] })) },
      },
    }));
    made += replicas;
  }
  return writer;
}

/** As a decoded entry has it: one piece, not a tree of those that it was put together from. */
const flat = (text: string) => Buffer.from(text, "latin1").toString("latin1");
const idOf = (kind: string, i: number) => `${kind}${i}`.padEnd(25, "x");

function aNode(i: number): Node {
  return Node.fromPartial({
    id: idOf("node", i),
    spec: {
      role: NodeRole.NODE_ROLE_WORKER,
      availability: Availability.AVAILABILITY_ACTIVE,
      labels: { zone: `zone${i % 5}`, rack: `rack${i % 50}`, disk: i % 10 === 0 ? "hdd" : "ssd" },
    },
    description: {
      hostname: `host${i}`,
      platform: { os: "linux", architecture: "x86_64" },
      resources: { nanoCpus: 2_000e9, memoryBytes: 2_000 * GIB },
      plugins: ["Log/json-file", "Network/overlay", "Volume/local"],
    },
    status: { state: NodeState.NODE_STATE_READY, addr: "10.0.0.1" },
  });
}

function putService(i: number, replicas: number, demanding: boolean): PutService {
  const task = TaskSpec.fromPartial({ container: { image: "whoami:1" } });
  const hard = TaskSpec.fromPartial({
    ...task,
    reservations: { nanoCpus: 100_000_000, memoryBytes: 64 * 2 ** 20 },
    placement: {
      constraints: ["node.role==worker", "node.labels.disk!=hdd", "node.platform.arch==x86_64"],
      spread: ["node.labels.zone", "node.labels.rack"],
    },
  });
  const service = Service.fromPartial({
    id: idOf("service", i),
    spec: {
      name: `service${i}`,
      task: demanding ? hard : task,
      mode: { $case: "replicated", value: { replicas } },
    },
  });
  return PutService.fromPartial({ service });
}
