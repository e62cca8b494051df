import { isDeepStrictEqual } from "node:util";
import type {
  AllocateNetwork,
  AllocateNode,
  AllocateService,
  PutCluster,
  PutNetwork,
  PutNode,
  PutService,
  SetNodeStatus,
  SetRebalance,
  SetUpdateStatus,
} from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  CauseKind,
  type JobStatus,
  type PortConfig,
  type Service,
  type ServiceSpec,
  TaskState,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { attachedTo } from "./apply-attachments.ts";
import { missingData } from "./apply-data.ts";
import { type Draft, deny, metaOf, type Outcome, versionFits } from "./draft.ts";
import { freeze } from "./freeze.ts";
import { isFinished } from "./states.ts";
import type { Table } from "./table.ts";
import { taskPorts } from "./task-ports.ts";

/** The cluster object is the proposer's but for `meta` and what has an action of its own. */
export function putCluster(draft: Draft, { cluster, ifVersion }: PutCluster): Outcome {
  const known = draft.tables.cluster;
  if (!cluster) return deny("invalid_parameter", { message: "no cluster was given" });
  if (!versionFits(known, ifVersion)) return deny("out_of_sequence");
  const rebalance = known ? known.rebalance : cluster.rebalance;
  draft.setCluster(freeze({ ...cluster, rebalance, meta: metaOf(draft, known) }));
}

/** Tells nothing to whoever waits for a new version of the cluster object: `meta` stays. */
export function setRebalance(draft: Draft, { rebalance }: SetRebalance): Outcome {
  const known = draft.tables.cluster;
  if (!known) return deny("no_leader");
  draft.setCluster(freeze({ ...known, rebalance }));
}

/** A new node is taken whole; of a known one `spec` and `manager` are. */
export function putNode(draft: Draft, { node, ifVersion }: PutNode): Outcome {
  if (!node?.id || !node.spec) return deny("invalid_parameter", { message: "a node needs an id and a spec" });
  const known = draft.tables.nodes.get(node.id);
  if (!versionFits(known, ifVersion)) return deny("out_of_sequence");
  const meta = metaOf(draft, known);
  draft.putNode(
    freeze(known ? { ...known, meta, spec: node.spec, manager: node.manager } : { ...node, meta }),
  );
}

/** Its tasks are orphaned: nobody will tell of them any more. */
export function removeNode(draft: Draft, id: string): Outcome {
  const node = draft.tables.nodes.get(id);
  if (!node) return deny("no_such_node", { id });
  draft.removeNode(id);
  const detail = node.description?.hostname ?? "";
  const cause = draft.cause({
    kind: CauseKind.CAUSE_NODE_REMOVED,
    subject: id,
    detail,
    count: 0,
    at: 0,
    backoff: 0,
  });
  for (const task of draft.tables.tasksOnNode(id)) {
    if (isFinished(task)) continue;
    const row = task.clone();
    row.state = TaskState.TASK_STATE_ORPHANED;
    row.desiredState = Math.max(row.desiredState, TaskState.TASK_STATE_SHUTDOWN) as TaskState;
    row.statusAt = draft.time;
    row.message = "node removed";
    row.stoppedBy ??= cause;
    draft.putTask(row);
  }
}

export function setNodeStatus(draft: Draft, action: SetNodeStatus): Outcome {
  const known = draft.tables.nodes.get(action.nodeId);
  if (!known) return deny("no_such_node", { id: action.nodeId });
  draft.putNode(
    freeze({
      ...known,
      meta: metaOf(draft, known),
      status: action.status ?? known.status,
      description: action.description ?? known.description,
      dataPathAddr: action.dataPathAddr || known.dataPathAddr,
    }),
  );
}

export function allocateNode(draft: Draft, action: AllocateNode): Outcome {
  const known = draft.tables.nodes.get(action.nodeId);
  if (!known) return deny("no_such_node", { id: action.nodeId });
  draft.putNode(freeze({ ...known, meta: metaOf(draft, known), addresses: action.addresses }));
}

/**
 * A new service is taken whole; of a known one `spec` and `previous_spec` are. Tasks that would be made otherwise from
 * the new spec give a new spec version.
 */
export function putService(draft: Draft, { service, ifVersion, updateStatus }: PutService): Outcome {
  const spec = service?.spec;
  if (!service?.id || !spec?.task || !spec.mode || spec.name === "") {
    return deny("invalid_parameter", { message: "a service needs an id, a name, a mode and a task" });
  }
  const known = draft.tables.services.get(service.id);
  if (!versionFits(known, ifVersion)) return deny("out_of_sequence");
  const others = draft.tables.services;
  if (others.find((s) => s.id !== service.id && s.spec?.name === spec.name)) {
    return deny("service_name_taken", { name: spec.name });
  }
  const missing = missingData(draft.tables, spec);
  if (missing) return missing;
  const clash = portClash(others, service.id, spec);
  if (clash) return deny("published_port_taken", clash);

  const meta = metaOf(draft, known);
  if (!known) {
    draft.putService(
      freeze({ ...service, meta, specVersion: draft.index, jobStatus: nextIteration(draft, service) }),
    );
    return undefined;
  }
  const sameTask = isDeepStrictEqual(known.spec?.task, spec.task);
  const sameVersion = sameTask && isDeepStrictEqual(portsOf(known.spec), portsOf(spec));
  draft.putService(
    freeze({
      ...known,
      meta,
      spec: sameTask ? { ...spec, task: known.spec!.task } : spec,
      specVersion: sameVersion ? known.specVersion : draft.index,
      previousSpec: service.previousSpec,
      updateStatus,
      jobStatus: sameVersion ? known.jobStatus : nextIteration(draft, known),
    }),
  );
}

const portsOf = (spec: ServiceSpec | undefined) => taskPorts(spec?.endpoint?.ports ?? []);

/** What has to be run anew counts as the job's next iteration; undefined for what is no job. */
function nextIteration(draft: Draft, service: Service): JobStatus | undefined {
  const mode = service.spec?.mode?.$case;
  if (mode !== "replicatedJob" && mode !== "globalJob") return undefined;
  return { iteration: (service.jobStatus?.iteration ?? 0) + 1, lastExecution: draft.time };
}

export function removeService(draft: Draft, id: string): Outcome {
  if (!draft.tables.services.get(id)) return deny("no_such_service", { id });
  draft.removeService(id);
  draft.tables.dropGroup(id);
}

export function setUpdateStatus(draft: Draft, action: SetUpdateStatus): Outcome {
  const known = draft.tables.services.get(action.serviceId);
  if (!known) return deny("no_such_service", { id: action.serviceId });
  draft.putService(freeze({ ...known, meta: metaOf(draft, known), updateStatus: action.status }));
}

export function allocateService(draft: Draft, action: AllocateService): Outcome {
  const known = draft.tables.services.get(action.serviceId);
  if (!known) return deny("no_such_service", { id: action.serviceId });
  const { virtualIps, ports } = action;
  draft.putService(freeze({ ...known, meta: metaOf(draft, known), virtualIps, ports }));
}

/** A new network is taken whole; of a known one the spec is. */
export function putNetwork(draft: Draft, { network }: PutNetwork): Outcome {
  const name = network?.spec?.name;
  if (!network?.id || !name)
    return deny("invalid_parameter", { message: "a network needs an id and a name" });
  if (draft.tables.networks.find((n) => n.id !== network.id && n.spec?.name === name)) {
    return deny("network_name_taken", { name });
  }
  const known = draft.tables.networks.get(network.id);
  const meta = metaOf(draft, known);
  draft.putNetwork(freeze(known ? { ...known, meta, spec: network.spec } : { ...network, meta }));
}

export function removeNetwork(draft: Draft, id: string): Outcome {
  if (!draft.tables.networks.get(id)) return deny("no_such_network", { id });
  const user = draft.tables.services.find(
    (s) => s.spec?.task?.networks.some((n) => n.target === id) ?? false,
  );
  if (user) return deny("swarm_network_in_use", { id, user: `service ${user.id}` });
  const attached = attachedTo(draft.tables.nodes, id);
  if (attached) return deny("network_attached", attached);
  draft.removeNetwork(id);
}

export function allocateNetwork(draft: Draft, action: AllocateNetwork): Outcome {
  const known = draft.tables.networks.get(action.networkId);
  if (!known) return deny("no_such_network", { id: action.networkId });
  const { vni, subnet, gateway } = action;
  draft.putNetwork(freeze({ ...known, meta: metaOf(draft, known), vni, subnet, gateway }));
}

function isIngress(port: PortConfig): boolean {
  return port.publishMode !== "host" && port.publishedPort !== 0;
}

function portClash(services: Table<Service>, id: string, spec: ServiceSpec) {
  const wished = (spec.endpoint?.ports ?? []).filter(isIngress);
  if (wished.length === 0) return undefined;
  const taken = (other: Service) =>
    other.ports.length > 0 ? other.ports : (other.spec?.endpoint?.ports ?? []);
  for (const port of wished) {
    const clashes = (t: PortConfig) =>
      isIngress(t) && t.publishedPort === port.publishedPort && t.protocol === port.protocol;
    const other = services.find((s) => s.id !== id && taken(s).some(clashes));
    if (other) return { port: port.publishedPort, service: other.spec?.name ?? other.id };
  }
  return undefined;
}
