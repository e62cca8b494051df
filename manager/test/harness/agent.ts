import { fromGrpc } from "@creel/shared";
import type { TaskStatusUpdate } from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  type AgentMessage,
  type Assignments,
  DispatcherClient,
  type DispatcherMessage,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { type NodeRole, type Task, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { ApplyRequest, Balancer, Peer } from "@creel/shared/gen/engine/v1/network.ts";
import { connect, type Identity, LiveIdentity, leaderOf, tlsOf } from "@creel/shared/tls";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";

/** One network as an agent was told it. */
export class ToldNetwork {
  readonly balancers = new Map<string, Balancer>();
  readonly peers = new Map<string, Peer>();

  apply(request: ApplyRequest): void {
    if (request.full) {
      this.balancers.clear();
      this.peers.clear();
    }
    for (const balancer of request.set) this.balancers.set(balancer.id, balancer);
    for (const id of request.remove) this.balancers.delete(id);
    for (const peer of request.setPeers) this.peers.set(peer.address, peer);
    for (const address of request.removePeers) this.peers.delete(address);
  }
}

/** An agent without an engine: it does what it is told at once, and says so. It goes where the leader is. */
export class TestAgent {
  readonly live: LiveIdentity;
  readonly tasks = new Map<string, Task>();
  readonly told = new Map<string, ToldNetwork>();
  readonly errors: string[] = [];
  /** Whether it stops tasks as soon as it is told to. */
  stops = true;
  managers: string[];
  role: NodeRole | undefined;
  batches: Assignments[] = [];
  readonly #number: number;
  readonly #port: number;
  #client: DispatcherClient | undefined;
  #stream: ClientDuplexStream<AgentMessage, DispatcherMessage> | undefined;
  #beat: NodeJS.Timeout | undefined;
  #sequence = 0;
  #stopped = false;
  #next = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(identity: Identity, managers: string[], number: number, port = 0) {
    this.live = new LiveIdentity(identity);
    this.managers = managers;
    this.#number = number;
    this.#port = port;
    this.#open(managers[0]!);
  }

  get id(): string {
    return this.live.current().nodeId;
  }

  /** Tasks it was told to run, and runs. */
  running(): Task[] {
    return [...this.tasks.values()].filter((task) => task.desiredState === TaskState.TASK_STATE_RUNNING);
  }

  /** Says that a task failed. */
  reportFailure(task: Task): void {
    this.#sendReport([update(task, TaskState.TASK_STATE_FAILED)]);
  }

  /** Stops what it was told to stop, from now on at once. */
  stopAll(): void {
    this.stops = true;
    this.#report([...this.tasks.values()].filter((task) => task.desiredState > TaskState.TASK_STATE_RUNNING));
  }

  goodbye(): void {
    this.#send({ $case: "goodbye", value: {} });
  }

  /** Falls silent, as a machine that lost its power. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#beat);
    clearTimeout(this.#retry);
    this.#stream?.cancel();
    this.#client?.close();
  }

  #open(addr: string): void {
    this.#client?.close();
    this.#client = connect(DispatcherClient, addr, this.live);
    const stream = this.#client.session();
    this.#stream = stream;
    stream.on("data", (message: DispatcherMessage) => this.#take(message));
    stream.on("error", () => {});
    stream.on("status", (status: Partial<ServiceError>) => {
      if (this.#stream === stream) this.#lost(status.code === 0 ? undefined : fromGrpc(status, addr));
    });
    this.#send({
      $case: "hello",
      value: {
        protocol: 1,
        dataPathAddr: `192.0.2.${this.#number}`,
        engineInstance: "test",
        description: {
          hostname: `host${this.#number}`,
          platform: { os: "linux", architecture: "x86_64" },
          resources: { nanoCpus: 4e9, memoryBytes: 8e9, generic: {}, named: {} },
          engineVersion: "0.1.0",
          engineLabels: {},
          plugins: ["Log/json-file", "Network/overlay", "Volume/local"],
          certificate: Buffer.alloc(0),
          tls: tlsOf(this.live.current()),
          port: this.#port,
        },
      },
    });
  }

  #lost(error: Error | undefined): void {
    clearInterval(this.#beat);
    if (this.#stopped) return;
    if (error) this.errors.push("code" in error ? String(error.code) : error.message);
    const leader = leaderOf(error);
    const at = leader || this.managers[this.#next++ % this.managers.length]!;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(at), 50);
  }

  #send(kind: NonNullable<AgentMessage["kind"]>): void {
    this.#stream?.write({ kind });
  }

  #take({ kind }: DispatcherMessage): void {
    if (this.#stopped) return;
    switch (kind?.$case) {
      case "welcome":
        clearInterval(this.#beat);
        this.#beat = setInterval(
          () => this.#send({ $case: "heartbeat", value: {} }),
          kind.value.heartbeatPeriod,
        );
        break;
      case "managers":
        this.managers = kind.value.addrs;
        break;
      case "role":
        this.role = kind.value;
        break;
      case "assignments":
        this.#assign(kind.value);
        break;
    }
  }

  #assign(assignments: Assignments): void {
    this.batches.push(assignments);
    if (assignments.full) {
      this.tasks.clear();
      this.told.clear();
    }
    for (const id of assignments.removeTasks) this.tasks.delete(id);
    for (const id of assignments.removeNetworks) this.told.delete(id);
    for (const { network } of assignments.setNetworks) {
      if (!this.told.has(network!.id)) this.told.set(network!.id, new ToldNetwork());
    }
    for (const request of assignments.endpoints) this.told.get(request.networkId)?.apply(request);
    for (const task of assignments.setTasks) this.tasks.set(task.id, task);
    this.#send({ $case: "ack", value: { sequence: assignments.sequence } });
    this.#report(assignments.setTasks);
  }

  #report(tasks: Task[]): void {
    const updates: TaskStatusUpdate[] = [];
    for (const task of tasks) {
      const state = this.#stateFor(task);
      if (state !== undefined) updates.push(update(task, state));
    }
    this.#sendReport(updates);
  }

  #sendReport(updates: TaskStatusUpdate[]): void {
    if (updates.length === 0) return;
    this.#sequence++;
    this.#send({ $case: "report", value: { updates, sequence: this.#sequence, taken: 0 } });
  }

  #stateFor(task: Task): TaskState | undefined {
    if (task.status!.state > TaskState.TASK_STATE_RUNNING) return undefined;
    if (task.desiredState > TaskState.TASK_STATE_RUNNING) {
      return this.stops ? TaskState.TASK_STATE_SHUTDOWN : undefined;
    }
    if (task.desiredState < TaskState.TASK_STATE_RUNNING) return TaskState.TASK_STATE_READY;
    return TaskState.TASK_STATE_RUNNING;
  }
}

function update(task: Task, state: TaskState): TaskStatusUpdate {
  const failed = state === TaskState.TASK_STATE_FAILED;
  return {
    taskId: task.id,
    status: {
      state,
      timestamp: Date.now(),
      message: "",
      err: failed ? "task: non-zero exit (1)" : "",
      containerId: `c-${task.id}`,
      pid: 1,
      exitCode: failed ? 1 : 0,
      hostPorts: [],
    },
  };
}
