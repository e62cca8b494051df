import { isDeepStrictEqual } from "node:util";
import type { StoreView } from "@creel/manager";
import {
  Availability,
  NodeRole,
  NodeState,
  type Service,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { World } from "../world.ts";

/** Why the cluster is not yet as it is wanted; undefined when it is. */
export function unsettled(world: World): string | undefined {
  const view = world.view();
  if (!view) return "nobody leads";
  return (
    unsettledNodes(world, view) ??
    unsettledServices(view) ??
    unsettledMachines(world, view) ??
    differing(world)
  );
}

function unsettledNodes(world: World, view: StoreView): string | undefined {
  for (const machine of world.machines) {
    if (machine.id === "") continue;
    const node = view.node(machine.id);
    if (!node) return `${machine.name} is no node`;
    if (node.status?.state !== NodeState.NODE_STATE_READY) return `${machine.name} is not ready`;
    if (!machine.connected) return `${machine.name} has no session`;
    const manages = node.spec?.role === NodeRole.NODE_ROLE_MANAGER;
    if (machine.role !== node.spec?.role || manages !== (machine.manager !== undefined))
      return `${machine.name} is not what it is to be`;
  }
  const wanted = view.nodes().filter((node) => node.spec?.role === NodeRole.NODE_ROLE_MANAGER).length;
  const { voters, learners } = world.leader()!.figures().raft;
  if (voters.length !== wanted || learners.length > 0)
    return `${voters.length} voters and ${learners.length} learners for ${wanted} managers`;
  return undefined;
}

/** Services whose tasks end by themselves, or never run, have no state to come to. */
function isRestless(service: Service): boolean {
  if (service.spec?.mode?.$case === "replicatedJob") return true;
  const image = service.spec?.task?.container?.image ?? "";
  return /^(broken|job|absent)/.test(image);
}

function unsettledServices(view: StoreView): string | undefined {
  for (const service of view.services()) {
    const name = service.spec?.name;
    const status = service.updateStatus?.state ?? "";
    if (isRestless(service) || status.endsWith("paused")) continue;
    if (status === "updating" || status === "rollback_started")
      return `${name} is ${status}${tasksOf(view, service)}`;
    const tasks = view
      .tasksOfService(service.id)
      .filter((task) => task.desiredState <= TaskState.TASK_STATE_RUNNING);
    const mode = service.spec?.mode;
    const active = view
      .nodes()
      .filter((node) => node.spec?.availability === Availability.AVAILABILITY_ACTIVE);
    const wanted = mode?.$case === "replicated" ? mode.value.replicas : active.length;
    if (tasks.length !== wanted)
      return `${name} has ${tasks.length} tasks of ${wanted}${tasksOf(view, service)}`;
    for (const task of tasks) {
      if (task.status?.state !== TaskState.TASK_STATE_RUNNING)
        return `task ${task.id} of ${name} is in state ${task.status?.state} on ${task.nodeId}: ${task.status?.err}`;
      if (task.specVersion !== service.specVersion) return `task ${task.id} of ${name} is of an older spec`;
    }
    if (mode?.$case === "replicated" && new Set(tasks.map((task) => task.slot)).size !== wanted)
      return `two tasks of ${name} hold one slot`;
  }
  return undefined;
}

/** The service's tasks, for whoever looks for the cause. */
function tasksOf(view: StoreView, service: Service): string {
  const name = (value: number) => nameOf.get(value)?.slice("TASK_STATE_".length);
  const lines = view.tasksOfService(service.id).map((task) => {
    const { id, slot, nodeId, specVersion, desiredState, status } = task;
    const place = `slot ${slot} on ${nodeId.slice(0, 6) || "no node"}`;
    const states = `${name(status!.state)}, to be ${name(desiredState)}`;
    return `\n    ${id.slice(0, 6)} of spec ${specVersion} in ${place}: ${states} ${status!.err}`;
  });
  const status = service.updateStatus
    ? `, ${service.updateStatus.state}: ${service.updateStatus.message}`
    : "";
  return `\n    spec ${service.specVersion}, version ${service.meta?.version}${status}${lines.join("")}`;
}

const nameOf = new Map(Object.entries(TaskState).map(([name, value]) => [value as number, name]));

/** What runs on the machines is what the store says, and nothing else does. */
function unsettledMachines(world: World, view: StoreView): string | undefined {
  for (const machine of world.machines) {
    const running = new Set(machine.engine.running());
    for (const id of running) {
      const task = view.task(id);
      const service = task && view.service(task.serviceId);
      if (service && isRestless(service)) continue;
      if (!task) return `task ${id} runs on ${machine.name}, and nobody knows it`;
      if (task.desiredState > TaskState.TASK_STATE_RUNNING)
        return `task ${id} runs on ${machine.name}, and is to stop`;
    }
    for (const task of view.tasksOnNode(machine.id)) {
      const service = view.service(task.serviceId);
      if (task.status?.state !== TaskState.TASK_STATE_RUNNING || !service || isRestless(service)) continue;
      if (!running.has(task.id)) return `task ${task.id} is said to run on ${machine.name}, and does not`;
    }
  }
  return undefined;
}

/** Managers that have come as far have the same state. */
function differing(world: World): string | undefined {
  const [first, ...others] = world.managers().map((machine) => ({ machine, view: machine.manager!.view() }));
  for (const other of others) {
    if (other.view.index !== first!.view.index)
      return `${other.machine.name} has not come as far as the others`;
    if (!isDeepStrictEqual(stateOf(first!.view), stateOf(other.view))) {
      world.fail(
        `${first!.machine.name} and ${other.machine.name} have different states at ${other.view.index}`,
      );
      return "the managers' states differ";
    }
  }
  return undefined;
}

function stateOf(view: StoreView) {
  const byId = <T extends { id: string }>(list: T[]) => list.sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    cluster: view.cluster(),
    nodes: byId(view.nodes()),
    services: byId(view.services()),
    networks: byId(view.networks()),
    tasks: byId(view.tasks()),
  };
}
