import type { Manager, StoreView } from "@creel/manager";
import { isCreelError } from "@creel/shared";
import type { ControlRequest } from "@creel/shared/gen/cluster/v1/control.ts";
import {
  Availability,
  type Node,
  NodeRole,
  NodeState,
  type Service,
  ServiceSpec,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Acknowledged } from "./checks/acknowledged.ts";
import type { World } from "./world.ts";

const MAX_SERVICES = 5;
const MAX_REPLICAS = 4;
const PAUSE_MS = 8_000;

type Kind = NonNullable<ControlRequest["kind"]>;

/** A command, and what the trace calls it. */
interface Command {
  words: string;
  kind: Kind;
}

/** People who want things of the cluster all the while, of any manager that answers. */
export class Users {
  readonly #world: World;
  readonly #acknowledged: Acknowledged;
  #working = false;
  #made = 0;

  constructor(world: World, acknowledged: Acknowledged) {
    this.#world = world;
    this.#acknowledged = acknowledged;
  }

  start(): void {
    this.#working = true;
    this.#next();
  }

  stop(): void {
    this.#working = false;
  }

  /** All nodes are wanted, so that there is room for everything. */
  async openAllNodes(): Promise<void> {
    for (;;) {
      const manager = this.#world.leader();
      const closed = manager
        ?.view()
        .nodes()
        .find(({ spec }) => spec?.availability !== Availability.AVAILABILITY_ACTIVE);
      if (manager && !closed) return;
      if (manager)
        await this.#ask("the leader", manager, setAvailability(closed!, Availability.AVAILABILITY_ACTIVE));
      await new Promise<void>((resolve) => this.#world.time.after(500, resolve));
    }
  }

  #next(): void {
    this.#world.time.after(this.#world.random.next() * PAUSE_MS, () => {
      if (!this.#working) return;
      this.#one();
      this.#next();
    });
  }

  #one(): void {
    const managers = this.#world.managers();
    if (managers.length === 0) return;
    const machine = this.#world.pick(managers);
    const manager = machine.manager!;
    const command = this.#think(manager.view());
    if (command) void this.#ask(machine.name, manager, command);
  }

  async #ask(where: string, manager: Manager, { words, kind }: Command): Promise<void> {
    const { trace } = this.#world;
    const request: ControlRequest = { kind };
    trace.say("user", `asks ${where}: ${words}`);
    this.#acknowledged.asked(request);
    try {
      const reply = await manager.control(request);
      trace.say("user", `has from ${where}: ${words}: done at ${reply.index}`);
      this.#acknowledged.done(request, reply);
      await this.#read(reply.index);
    } catch (error) {
      if (!isCreelError(error)) throw error;
      trace.say("user", `has from ${where}: ${words}: ${error.code}`);
      if (error.code === "internal") this.#world.fail(`${words}: ${error.message}`);
    }
  }

  /** Whoever asks any manager now sees what was acknowledged. */
  async #read(index: number): Promise<void> {
    const managers = this.#world.managers();
    if (managers.length === 0) return;
    const machine = this.#world.pick(managers);
    const view = await machine.manager!.linearizableView();
    if (view.index < index)
      this.#world.fail(`${machine.name} was read at ${view.index}, after ${index} was acknowledged`);
  }

  #think(view: StoreView): Command | undefined {
    const services = view.services();
    const roll = this.#world.random.next();
    if (services.length === 0 || (roll < 0.15 && services.length < MAX_SERVICES)) return this.#create();
    const service = this.#world.pick(services);
    const name = service.spec!.name;
    if (roll < 0.35) return this.#scale(service);
    if (roll < 0.6) return this.#update(service);
    if (roll < 0.65) return { words: `roll ${name} back`, kind: this.#change(service, service.spec!, true) };
    if (roll < 0.7) return { words: `remove ${name}`, kind: { $case: "removeService", value: service.id } };
    return roll < 0.9 ? this.#availability(view) : this.#role(view);
  }

  #create(): Command {
    const world = this.#world;
    const name = `web${++this.#made}`;
    const global = world.chance(0.15);
    const replicas = world.between(1, MAX_REPLICAS);
    const image = this.#image();
    const job = image.startsWith("job") && !global && world.chance(0.5);
    const spec = ServiceSpec.fromPartial({
      name,
      mode: global
        ? { $case: "global", value: {} }
        : job
          ? { $case: "replicatedJob", value: { maxConcurrent: 2, totalCompletions: replicas } }
          : { $case: "replicated", value: { replicas } },
      task: { container: { image, stopGracePeriod: 5_000 }, restart: this.#restart(image) },
      ...(job ? {} : { update: this.#updateConfig(), rollback: this.#updateConfig() }),
      endpoint: world.chance(0.4) ? { ports: [{ protocol: "tcp", targetPort: 80 }] } : {},
    });
    return {
      words: `create ${name}, ${global ? "on each node" : `${replicas} ${job ? "completions" : "replicas"}`}, of ${image}`,
      kind: { $case: "createService", value: { spec } },
    };
  }

  #image(): string {
    const kind = this.#world.pick([
      "web",
      "web",
      "web",
      "web",
      "web",
      "slow",
      "slow",
      "broken",
      "job",
      "absent",
    ]);
    return `${kind}:${this.#world.between(1, 9)}`;
  }

  /** What cannot last is not tried for ever. */
  #restart(image: string) {
    const delay = this.#world.pick([500, 2_000, 5_000]);
    return { delay, delaySet: true, maxAttempts: image.startsWith("web") ? 0 : 2 };
  }

  #updateConfig() {
    const world = this.#world;
    return {
      parallelism: world.between(0, 2),
      delay: world.between(0, 2) * 500,
      monitor: world.between(1, 3) * 1_000,
      failureAction: world.pick(["pause", "continue", "rollback"]),
      maxFailureRatio: world.pick([0, 0.5]),
      order: world.pick(["stop-first", "start-first"]),
    };
  }

  #scale(service: Service): Command | undefined {
    const spec = service.spec!;
    if (spec.mode?.$case !== "replicated") return undefined;
    const replicas = this.#world.between(0, MAX_REPLICAS);
    const kind = this.#change(service, { ...spec, mode: { $case: "replicated", value: { replicas } } });
    return { words: `scale ${spec.name} to ${replicas}`, kind };
  }

  #update(service: Service): Command {
    const spec = service.spec!;
    const image = this.#image();
    const container = { ...spec.task!.container!, image };
    const forced = this.#world.chance(0.3) ? spec.task!.forceUpdate + 1 : spec.task!.forceUpdate;
    const restart = ServiceSpec.fromPartial({ task: { restart: this.#restart(image) } }).task!.restart;
    const task = { ...spec.task!, container, restart, forceUpdate: forced };
    const update = ServiceSpec.fromPartial({ update: this.#updateConfig() }).update;
    return {
      words: `update ${spec.name} to ${image}`,
      kind: this.#change(service, { ...spec, task, update }),
    };
  }

  #change(service: Service, spec: ServiceSpec, rollback = false): Kind {
    const { id, meta } = service;
    const value = { id, version: meta!.version, spec: rollback ? undefined : forWire(spec), rollback };
    return { $case: "updateService", value };
  }

  #availability(view: StoreView): Command {
    const node = this.#world.pick(view.nodes());
    const { AVAILABILITY_ACTIVE, AVAILABILITY_DRAIN, AVAILABILITY_PAUSE } = Availability;
    const closed = view.nodes().filter(({ spec }) => spec?.availability !== AVAILABILITY_ACTIVE).length;
    const choice = [AVAILABILITY_ACTIVE, AVAILABILITY_DRAIN, AVAILABILITY_PAUSE];
    const few = closed * 2 >= view.nodes().length;
    return setAvailability(node, few ? AVAILABILITY_ACTIVE : this.#world.pick(choice));
  }

  #role(view: StoreView): Command {
    const { NODE_ROLE_MANAGER: manager, NODE_ROLE_WORKER: worker } = NodeRole;
    const managers = view.nodes().filter(({ spec }) => spec?.role === manager);
    const demote = managers.length > 3 && this.#world.chance(0.6);
    const ready = view.nodes().filter(({ status }) => status?.state === NodeState.NODE_STATE_READY);
    const node = this.#world.pick(demote ? managers : ready.length > 0 ? ready : view.nodes());
    const role = demote || managers.length >= 5 ? worker : manager;
    const words = `${role === manager ? "promote" : "demote"} ${node.description?.hostname}`;
    return { words, kind: nodeChange(node, { role }) };
  }
}

function setAvailability(node: Node, availability: Availability): Command {
  const [word] = Object.entries(Availability).find(([, value]) => value === availability)!;
  const words = `${word.slice("AVAILABILITY_".length).toLowerCase()} ${node.description?.hostname}`;
  return { words, kind: nodeChange(node, { availability }) };
}

function nodeChange(node: Node, change: Partial<NonNullable<Node["spec"]>>): Kind {
  const value = { id: node.id, version: node.meta!.version, spec: { ...node.spec!, ...change } };
  return { $case: "updateNode", value };
}

/** The store's objects are frozen, and are not a user's to hand in. */
function forWire(spec: ServiceSpec): ServiceSpec {
  return ServiceSpec.decode(ServiceSpec.encode(spec).finish());
}
