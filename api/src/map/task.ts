import { CauseKind, type Network, type Task, TaskState } from "../cluster.ts";
import { fromMillis } from "../http/time.ts";
import { toTaskGeneric } from "./generic-resources.ts";
import { toOverlay } from "./network.ts";
import { toPort, toTemplate, withPrefix } from "./service.ts";

type Json = Record<string, unknown>;

const WORDS = new Map(
  Object.entries(TaskState).map(([name, value]) => [
    value as number,
    name.replace("TASK_STATE_", "").toLowerCase(),
  ]),
);

/** Docker's word for a task's state. */
const taskStateWord = (state: number) => WORDS.get(state) ?? "new";

/** A job's task is wanted until it completes, which is Docker's word for it. */
export function desiredState(task: Task): TaskState {
  const runs = task.desiredState === TaskState.TASK_STATE_RUNNING;
  return runs && task.jobIteration !== 0 ? TaskState.TASK_STATE_COMPLETE : task.desiredState;
}

/** A task as Docker writes it. */
export function toTask(task: Task, networkOf: (id: string) => Network | undefined): Json {
  const { status } = task;
  const ran = status && (status.containerId !== "" || status.exitCode !== 0);
  return {
    ID: task.id,
    Version: { Index: task.meta?.version ?? 0 },
    CreatedAt: fromMillis(task.meta?.createdAt ?? 0),
    UpdatedAt: fromMillis(task.meta?.updatedAt ?? 0),
    Labels: {},
    Spec: toTemplate(task.spec!, false),
    ServiceID: task.serviceId,
    Slot: task.slot || undefined,
    NodeID: task.nodeId || undefined,
    Status: {
      Timestamp: fromMillis(status?.timestamp ?? 0),
      State: taskStateWord(status?.state ?? 0),
      Message: status?.message ?? "",
      Err: status?.err || lossOf(task),
      ContainerStatus: ran
        ? { ContainerID: status.containerId, PID: status.pid, ExitCode: status.exitCode }
        : undefined,
      PortStatus: status?.hostPorts.length ? { Ports: status.hostPorts.map(toPort) } : {},
    },
    DesiredState: taskStateWord(desiredState(task)),
    NetworksAttachments: task.attachments.map(({ networkId, address }) => {
      const network = networkOf(networkId);
      return {
        Network: network && {
          ID: network.id,
          Version: { Index: network.meta?.version ?? 0 },
          ...attachedNetwork(network),
        },
        Addresses: [withPrefix(address, network)],
      };
    }),
    GenericResources: toTaskGeneric(task.genericResources),
    JobIteration: task.jobIteration ? { Index: task.jobIteration } : undefined,
  };
}

/** In a few words, what took the task's node from it. */
function lossOf({ stoppedBy, status }: Task): string | undefined {
  if (stoppedBy?.kind === CauseKind.CAUSE_NODE_DOWN && (status?.state ?? 0) <= TaskState.TASK_STATE_RUNNING) {
    return `node is down: ${stoppedBy.detail}`;
  }
  return stoppedBy?.kind === CauseKind.CAUSE_NODE_REMOVED ? "node was removed" : undefined;
}

function attachedNetwork(network: Network): Json {
  const overlay = toOverlay(network);
  // Docker has another form for the same thing here than in GET /networks
  const ipam = {
    Driver: { Name: overlay.IPAM.Driver },
    Configs: overlay.IPAM.Config.map(({ Subnet, Gateway }) => ({ Subnet, Gateway })),
  };
  return {
    CreatedAt: overlay.Created,
    UpdatedAt: fromMillis(network.meta?.updatedAt ?? 0),
    Spec: {
      Name: overlay.Name,
      Labels: overlay.Labels,
      DriverConfiguration: { Name: overlay.Driver },
      Ingress: overlay.Ingress || undefined,
      Attachable: overlay.Attachable || undefined,
      Internal: overlay.Internal || undefined,
      IPAMOptions: ipam,
      Scope: "swarm",
    },
    DriverState: { Name: overlay.Driver, Options: overlay.Options },
    IPAMOptions: ipam,
  };
}
