import type { Calls, Plan, Why } from "@creel/shared";
import type {
  ContainersServer,
  EngineServer,
  ImagesServer,
  NetworksServer,
  VolumesServer,
} from "@creel/shared/gen/engine/v1/engine.ts";
import type {
  Cluster,
  Config,
  ControlReply,
  ControlRequest,
  Network,
  Node,
  Secret,
  Service,
  Task,
  TaskLogsRequest,
} from "./cluster.ts";

/** Where a node stands towards a cluster, in Docker's words (`Swarm.LocalNodeState`). */
export type LocalNodeState = "inactive" | "pending" | "active" | "error" | "locked";

/** What `swarm init` is given; addresses as the user wrote them (host, host:port, interface name or empty). */
export interface InitRequest {
  listenAddr: string;
  advertiseAddr: string;
  dataPathAddr: string;
  /** UDP port of VXLAN; 0: 4789. */
  dataPathPort: number;
  defaultAddrPool: string[];
  subnetSize: number;
  availability: "active" | "pause" | "drain";
  forceNewCluster: boolean;
  /** Name, labels and settings; absent fields take Docker's defaults. */
  spec: Partial<NonNullable<Cluster["spec"]>>;
}

/** What `swarm join` is given. */
export interface JoinRequest {
  remoteAddrs: string[];
  token: string;
  listenAddr: string;
  advertiseAddr: string;
  dataPathAddr: string;
  availability: "active" | "pause" | "drain";
}

/** Raft's view of one manager, for `node ls`. */
export interface ManagerStatus {
  leader: boolean;
  reachable: boolean;
  addr: string;
}

/** A change of a cluster object, for the event stream. */
export interface ClusterEvent {
  timeNanos: number;
  type: "node" | "service" | "network" | "secret" | "config" | "task";
  action: "create" | "update" | "remove";
  id: string;
  attributes: Record<string, string>;
}

/** The store as the API reads it: one instant, never changing. */
export interface ClusterView {
  cluster(): Cluster;
  nodes(): Node[];
  node(id: string): Node | undefined;
  services(): Service[];
  service(id: string): Service | undefined;
  tasks(): Task[];
  task(id: string): Task | undefined;
  tasksOfService(serviceId: string): Task[];
  networks(): Network[];
  network(id: string): Network | undefined;
  secrets(): Secret[];
  configs(): Config[];
}

/**
 * The cluster as the API sees it; the daemon wires it to manager and worker. All methods reject with errors of the
 * registry: `not_in_swarm`, `not_a_manager`, `worker_not_manager`, `no_leader`, ...
 */
export interface ClusterPort {
  localState(): LocalNodeState;
  /** Empty while inactive. */
  nodeId(): string;
  nodeAddr(): string;
  /** The words behind state `error`. */
  error(): string;
  isManager(): boolean;
  /** Other managers' addresses, as this node knows them. */
  remoteManagers(): { nodeId: string; addr: string }[];
  /** Resolves with the node's id once the node serves. */
  init(request: InitRequest): Promise<string>;
  join(request: JoinRequest): Promise<void>;
  leave(force: boolean): Promise<void>;
  /** Opens what autolock has sealed on this manager's disk, and resolves once the node serves. */
  unlock(key: string): Promise<void>;
  /** Managers only. `linearizable`: not older than any change acknowledged before the call. */
  view(options?: { linearizable?: boolean }): Promise<ClusterView>;
  managerStatus(nodeId: string): ManagerStatus | undefined;
  control(request: ControlRequest): Promise<ControlReply>;
  /** Tries on a copy of the cluster's state what `change` does to it, and tells what would come of that. */
  plan(change: (planned: PlannedCluster) => Promise<void>): Promise<Plan>;
  /** Why a service will not come to be as wanted by itself; empty while it may. */
  stuck(serviceId: string): string;
  /** Why the service, task or node of that id is as it is. */
  why(kind: Why["kind"], id: string): Promise<Why>;
  /**
   * A place for a container of this node on the cluster's network of that id or name, with that address (empty: any); the
   * network is on this node then. `release` is to be called once the container has it, or will not.
   */
  attach(network: string, address: string): Promise<{ address: string; release(): void }>;
  /** Log bytes of a task anywhere in the cluster, framed as Docker frames them; ends when `signal` aborts. */
  taskLogs(request: TaskLogsRequest, signal: AbortSignal): AsyncIterable<{ data: Uint8Array; raw: boolean }>;
  onEvent(listener: (event: ClusterEvent) => void): () => void;
}

/** A cluster on which changes are tried. */
export type PlannedCluster = Pick<ClusterPort, "view" | "control">;

/** Where the API tells of its requests, and what it answers `/metrics` with. */
export interface MetricsPort {
  /** `route` is the route's pattern, so that there are few; `seconds` until the head of the answer was sent. */
  request(method: string, route: string, status: number, seconds: number): void;
  /** All figures of this moment in Prometheus' text format. */
  render(): Promise<{ contentType: string; text: string }>;
}

/** creel-engine as the API uses it. All methods reject with errors of the registry. */
export interface EnginePort {
  engine: Calls<EngineServer>;
  images: Calls<ImagesServer>;
  containers: Calls<ContainersServer>;
  networks: Calls<NetworksServer>;
  volumes: Calls<VolumesServer>;
}
