import type { AgentMessage, DispatcherMessage } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { NodeDescription } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Container, ContainerSpec } from "@creel/shared/gen/engine/v1/container.ts";
import type { ApplyRequest, Network } from "@creel/shared/gen/engine/v1/network.ts";

/** The worker's door to creel-engine. Methods reject with errors of the registry. */
export interface Engine {
  /** Of the node as the scheduler sees it, and the engine's instance id (new at each start of the engine). */
  describe(): Promise<{ description: NodeDescription; instance: string }>;
  /** Resolves when `ref` can be run on this node; `no_such_image` otherwise. */
  ensureImage(ref: string): Promise<void>;
  /** Containers that carry `label`, running or not. */
  containers(label: string): Promise<Container[]>;
  /** All containers, running or not. */
  everyContainer(): Promise<Container[]>;
  createContainer(name: string, spec: ContainerSpec): Promise<string>;
  startContainer(id: string): Promise<void>;
  /** SIGTERM (or the container's own signal), then SIGKILL after `graceSeconds`. */
  stopContainer(id: string, graceSeconds: number): Promise<void>;
  /** With its anonymous volumes; killed first where it runs. */
  removeContainer(id: string): Promise<void>;
  inspectContainer(id: string): Promise<Container>;
  /** Resolves with the container's exit; at once where it does not run. */
  waitContainer(id: string): Promise<{ exitCode: number; error: string }>;
  /** Whether a container takes connections from outside at all these TCP ports; none named: at any. */
  listens(id: string, ports: number[]): Promise<boolean>;
  networks(): Promise<Network[]>;
  /** Makes the network; one of the same id is left as it is. */
  createNetwork(network: Network): Promise<void>;
  removeNetwork(id: string): Promise<void>;
  applyEndpoints(request: ApplyRequest): Promise<void>;
  /**
   * Calls back with the id of each container whose state or health may have changed, and when the engine stands still;
   * ends with the signal.
   */
  watchContainers(onChange: (id: string) => void, signal: AbortSignal, onSilent: () => void): void;
}

/** One stream to a dispatcher, over mutual TLS. */
export interface DispatcherStream {
  send(message: AgentMessage): void;
  /** Once: the manager has taken the stream; what it says of it comes later. */
  onTaken(listener: () => void): void;
  onMessage(listener: (message: DispatcherMessage) => void): void;
  /** Once: the stream is over. `leader`: where the leader is, when this manager knew. */
  onEnd(listener: (error: Error | undefined, leader: string | undefined) => void): void;
  close(): void;
}

/** Opens a stream to the manager at `addr` (host:port); rejects with `remote_unreachable` where nobody is there. */
export type DispatcherConnector = (addr: string) => Promise<DispatcherStream>;
