import type { Clock, Logger, Random } from "@creel/shared";
import { messageOf } from "@creel/shared";
import type { Assignments } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { NodeDescription, NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Attachments, type Place } from "./attachments/attachments.ts";
import type { DispatcherConnector, Engine } from "./ports.ts";
import { Reporter } from "./reporter/reporter.ts";
import { Session } from "./session/session.ts";
import { Networks } from "./tasks/networks.ts";
import { Tasks } from "./tasks/tasks.ts";
import { Values } from "./tasks/values.ts";

/** What a worker is made of. */
export interface WorkerOptions {
  nodeId: string;
  /** Managers' addresses, host:port. */
  managers: string[];
  connect: DispatcherConnector;
  engine: Engine;
  /** Where VXLAN reaches this node: an IPv4 address. */
  dataPathAddr: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** The managers' addresses have changed. */
  onManagers?: (addrs: string[]) => void;
  /** The managers want another role of this node. */
  onRole?: (role: NodeRole) => void;
  /** Whom the managers want this node to trust (PEM). */
  onTrust?: (roots: string) => void;
}

/** A node's agent: takes assignments from the leader, carries them out through the engine, reports what became of them. */
export interface Worker {
  /** Whether a manager has this node's session. */
  connected(): boolean;
  /** The container that runs a task here, or undefined. */
  containerOf(taskId: string): string | undefined;
  /**
   * A place for a container of the user's on the cluster's network of that id or name, with that address (empty: any);
   * the network is on this node then. Rejects as {@link Attachments.attach} does.
   */
  attach(network: string, address: string): Promise<Place>;
  /** The node has another certificate: the managers are told. */
  describe(): void;
  /** Ends the session; containers go on running. */
  stop(): Promise<void>;
  /** Ends the session, and tells the managers that the node leaves for good. */
  leave(): Promise<void>;
}

/** Wires session, tasks and reporter. Containers of an earlier run are taken over as the tasks they are. */
export function startWorker(options: WorkerOptions): Worker {
  const { engine, logger, clock, random, nodeId } = options;
  const stop = new AbortController();
  let description: NodeDescription | undefined;
  const reporter = new Reporter(() => session.wake());
  const networks = new Networks(engine, clock, logger);
  const values = new Values();
  const tasks = new Tasks({
    engine,
    clock,
    logger,
    context: (task) => ({ task, nodeId, node: description! }),
    ingress: networks.ingress,
    values,
    report: (taskId, status) => reporter.report(taskId, status),
  });
  const attachments = new Attachments({
    engine,
    clock,
    random,
    logger,
    send: (wishes) => session.tellAttachments(wishes),
  });
  let adopted: Promise<void> | undefined;

  async function assign(assignments: Assignments): Promise<void> {
    await networks.set(assignments.setNetworks);
    for (const request of assignments.endpoints) {
      await engine.applyEndpoints(request).catch((error: unknown) => {
        logger.warn({ network: request.networkId, err: messageOf(error) }, "endpoints not applied");
        throw error;
      });
    }
    if (assignments.attachments) attachments.grant(assignments.attachments.attachments);
    values.take(assignments);
    for (const [i, task] of assignments.setTasks.entries()) {
      task.spec = assignments.specs[assignments.specOf[i]!];
      tasks.set(task);
    }
    for (const id of assignments.removeTasks) {
      tasks.remove(id);
      reporter.forget(id);
    }
    if (assignments.full) {
      tasks.retain(new Set(assignments.setTasks.map((task) => task.id)));
      await networks.retain(
        new Set(assignments.setNetworks.flatMap(({ network }) => (network ? [network.id] : []))),
      );
    } else if (assignments.removeNetworks.length > 0) {
      await networks.remove(assignments.removeNetworks);
    }
  }

  const session = new Session({
    managers: options.managers,
    connect: options.connect,
    dataPathAddr: options.dataPathAddr,
    clock,
    random,
    logger,
    reporter,
    handlers: {
      async describe() {
        const described = await engine.describe();
        description = described.description;
        adopted ??= tasks.adopt().catch((error: unknown) => {
          adopted = undefined;
          throw error;
        });
        await adopted;
        return described;
      },
      assign,
      managers: (addrs) => options.onManagers?.(addrs),
      role: (role) => options.onRole?.(role),
      trust: (roots) => options.onTrust?.(roots),
      opened: () => attachments.opened(),
      refusal: (refusal) => attachments.refused(refusal),
    },
  });

  // a node whose engine stands still runs nothing: without heartbeats its tasks go elsewhere
  async function end(session: () => Promise<void>): Promise<void> {
    stop.abort();
    networks.stop();
    attachments.stop();
    await session();
  }

  engine.watchContainers(
    (id) => {
      tasks.poke(id);
      attachments.poke();
    },
    stop.signal,
    () => session.drop(),
  );
  session.start();
  return {
    connected: () => session.connected,
    containerOf: (taskId) => tasks.containerOf(taskId),
    describe: () => session.describe(),
    attach: (network, address) => attachments.attach(network, address),
    stop: () => end(() => session.stop()),
    leave: () => end(() => session.leave()),
  };
}
