import { CreelError, type Random } from "@creel/shared";
import { NodeDescription } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Container, type ContainerSpec } from "@creel/shared/gen/engine/v1/container.ts";
import type { Network } from "@creel/shared/gen/engine/v1/network.ts";
import { type Engine, TASK_LABEL } from "@creel/worker";
import type { Process, VirtualTime } from "./time.ts";
import type { Trace } from "./trace.ts";

type Exit = { exitCode: number; error: string };

/**
 * A machine's engine: containers as records, which outlive the agent. How an image behaves is in its name: `broken`
 * ends at once with an error, `job` ends well after a while, `slow` takes its time to stop, `absent` is not there.
 */
export class SimulatedEngine {
  readonly containers = new Map<string, Container>();
  readonly #networks = new Map<string, Network>();
  readonly #machine: string;
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #trace: Trace;
  readonly #waiting = new Map<string, ((exit: Exit) => void)[]>();
  readonly #listeners = new Set<(id: string) => void>();
  /** Some machines are slow. */
  readonly #pace: number;
  #made = 0;
  /** Counts the times that the machine had power. */
  #boot = 1;
  /** It does not answer for now. */
  away = false;

  constructor(machine: string, time: VirtualTime, random: Random, trace: Trace) {
    this.#machine = machine;
    this.#time = time;
    this.#random = random;
    this.#trace = trace;
    this.#pace = random.next() < 0.2 ? 15 : 1;
  }

  /** Ids of tasks whose processes run. */
  running(): string[] {
    const found: string[] = [];
    for (const { state, spec } of this.containers.values())
      if (state?.status === "running") found.push(spec!.labels[TASK_LABEL]!);
    return found;
  }

  /** The container's process ends. */
  exit(id: string, exitCode: number): void {
    const container = this.containers.get(id);
    if (container?.state?.status !== "running") return;
    Object.assign(container.state, { status: "exited", exitCode, pid: 0 });
    this.#trace.say(this.#machine, `${container.name} ended (${exitCode})`);
    for (const resolve of this.#waiting.get(id) ?? []) resolve({ exitCode, error: "" });
    this.#waiting.delete(id);
    for (const listener of this.#listeners) listener(id);
  }

  /** The power goes, and all processes with it. */
  powerOff(): void {
    this.#boot++;
    this.#waiting.clear();
    this.#listeners.clear();
    for (const { state } of this.containers.values())
      if (state?.status === "running") Object.assign(state, { status: "exited", exitCode: 137, pid: 0 });
  }

  /** The engine as one program on the machine sees it. */
  door(process: Process): Engine {
    const call = <T>(ms: number, work: () => T | Promise<T>): Promise<T> =>
      process.outside(async () => {
        await this.#busy(ms);
        return await work();
      });
    return {
      describe: () =>
        call(1, () => ({
          description: NodeDescription.fromPartial({
            hostname: this.#machine,
            platform: { os: "linux", architecture: "x86_64" },
            resources: { nanoCpus: 8e9, memoryBytes: 16e9 },
            engineVersion: "0.1.0",
            plugins: ["Log/json-file", "Network/bridge", "Network/host", "Network/overlay", "Volume/local"],
            port: 2377,
          }),
          instance: `${this.#boot}`,
        })),
      ensureImage: (ref) =>
        call(3, () => {
          if (ref.startsWith("absent")) throw new CreelError("no_such_image", { ref });
        }),
      everyContainer: () => call(2, () => [...this.containers.values()]),
      containers: (label) =>
        call(2, () => [...this.containers.values()].filter((each) => each.spec?.labels[label] !== undefined)),
      createContainer: (name, spec) => call(2, () => this.#create(name, spec)),
      startContainer: (id) => call(2, () => this.#start(id)),
      stopContainer: (id, grace) => call(1, () => this.#stop(id, grace)),
      removeContainer: (id) =>
        call(10, () => {
          this.#get(id);
          this.exit(id, 137);
          this.containers.delete(id);
        }),
      inspectContainer: (id) =>
        call(1, () => {
          const container = this.#get(id);
          return { ...container, state: { ...container.state! } };
        }),
      waitContainer: (id) => call(0, () => this.#wait(id)),
      listens: () => call(1, () => true),
      networks: () => call(1, () => [...this.#networks.values()]),
      createNetwork: (network) => call(5, () => void this.#networks.set(network.id || network.name, network)),
      removeNetwork: (id) => call(5, () => void this.#networks.delete(id)),
      applyEndpoints: () => call(1, () => {}),
      watchContainers: (onChange, signal) => {
        const listener = (id: string) => process.alive && !signal.aborted && onChange(id);
        this.#listeners.add(listener);
      },
    };
  }

  async #busy(ms: number): Promise<void> {
    if (this.away) throw new CreelError("engine_unavailable", { socket: this.#machine });
    if (ms > 0) await this.#sleep(ms * this.#pace * (0.5 + this.#random.next()));
    if (this.away) throw new CreelError("engine_unavailable", { socket: this.#machine });
  }

  /** Nothing comes of what was begun before the power went. */
  #sleep(ms: number): Promise<void> {
    const boot = this.#boot;
    return new Promise((resolve) => this.#time.after(ms, () => boot === this.#boot && resolve()));
  }

  #get(id: string): Container {
    const container = this.containers.get(id);
    if (!container) throw new CreelError("no_such_container", { id });
    return container;
  }

  #create(name: string, spec: ContainerSpec): string {
    for (const other of this.containers.values())
      if (other.name === name) throw new CreelError("name_in_use", { name, id: other.id });
    const id = `${this.#machine}-${++this.#made}`;
    this.containers.set(id, Container.fromPartial({ id, name, spec, state: { status: "created" } }));
    return id;
  }

  #start(id: string): void {
    const { state, name, spec } = this.#get(id);
    if (state!.status === "running") throw new CreelError("not_modified");
    Object.assign(state!, { status: "running", pid: 100 + this.#made });
    this.#trace.say(this.#machine, `${name} runs ${spec!.image}`);
    for (const listener of this.#listeners) listener(id);
    const image = spec!.image;
    if (image.startsWith("broken")) void this.#sleep(200 * this.#random.next()).then(() => this.exit(id, 1));
    if (image.startsWith("job")) void this.#sleep(60_000 * this.#random.next()).then(() => this.exit(id, 0));
  }

  async #stop(id: string, grace: number): Promise<void> {
    const container = this.#get(id);
    if (container.state!.status !== "running") throw new CreelError("not_modified");
    const slow = container.spec!.image.startsWith("slow");
    await this.#sleep(slow ? grace * 1000 : 300 * this.#random.next());
    this.exit(id, slow ? 137 : 143);
  }

  #wait(id: string): Promise<Exit> {
    const { state } = this.#get(id);
    if (state!.status === "exited") return Promise.resolve({ exitCode: state!.exitCode, error: "" });
    return new Promise((resolve) => {
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), resolve]);
    });
  }
}
