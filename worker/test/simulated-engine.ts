import { CreelError } from "@creel/shared";
import { NodeDescription } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Container, type ContainerSpec } from "@creel/shared/gen/engine/v1/container.ts";
import type { ApplyRequest, Network } from "@creel/shared/gen/engine/v1/network.ts";
import type { Engine } from "../src/mod.ts";

/** The engine's port over containers that exist only as records; a test ends them by {@link exit}. */
export class SimulatedEngine implements Engine {
  readonly records = new Map<string, Container>();
  readonly images = new Set(["app:1"]);
  readonly calls: string[] = [];
  readonly listening = new Set<number>();
  readonly #waiting = new Map<string, ((result: { exitCode: number; error: string }) => void)[]>();
  readonly #made = new Map<string, Network>();
  #listener: (id: string) => void = () => {};
  away = false;

  #call(what: string): void {
    if (this.away) throw new CreelError("engine_unavailable", { socket: "simulated" });
    this.calls.push(what);
  }
  #get(id: string): Container {
    const container = this.records.get(id);
    if (container === undefined) throw new CreelError("no_such_container", { id });
    return container;
  }

  /** The container's process ends. */
  exit(id: string, exitCode: number): void {
    const state = this.#get(id).state!;
    state.status = "exited";
    state.exitCode = exitCode;
    for (const resolve of this.#waiting.get(id) ?? []) resolve({ exitCode, error: "" });
    this.#waiting.delete(id);
  }
  health(id: string, health: string): void {
    this.#get(id).state!.health = health;
    this.#listener(id);
  }

  async describe() {
    return { description: NodeDescription.fromPartial({ hostname: "node1" }), instance: "1" };
  }
  async ensureImage(ref: string) {
    this.#call(`image ${ref}`);
    if (!this.images.has(ref)) throw new CreelError("no_such_image", { ref });
  }
  async containers(label: string) {
    return [...this.records.values()].filter((container) => container.spec?.labels[label] !== undefined);
  }
  async everyContainer() {
    return [...this.records.values()];
  }
  async createContainer(name: string, spec: ContainerSpec) {
    this.#call(`create ${name}`);
    const id = `c-${this.records.size + 1}`;
    const health = spec.healthcheck ? "starting" : "";
    this.records.set(id, Container.fromPartial({ id, name, spec, state: { status: "created", health } }));
    return id;
  }
  async startContainer(id: string) {
    this.#call(`start ${id}`);
    Object.assign(this.#get(id).state!, { status: "running", pid: 100 });
  }
  async stopContainer(id: string) {
    this.#call(`stop ${id}`);
    if (this.#get(id).state!.status === "running") this.exit(id, 143);
  }
  async removeContainer(id: string) {
    this.#call(`remove ${id}`);
    this.records.delete(id);
  }
  async inspectContainer(id: string) {
    this.#call(`inspect ${id}`);
    return this.#get(id);
  }
  waitContainer(id: string): Promise<{ exitCode: number; error: string }> {
    this.#call(`wait ${id}`);
    const state = this.#get(id).state!;
    if (state.status === "exited") return Promise.resolve({ exitCode: state.exitCode, error: "" });
    return new Promise((resolve) => this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), resolve]));
  }
  async listens(_: string, ports: number[]) {
    return ports.length === 0 ? this.listening.size > 0 : ports.every((port) => this.listening.has(port));
  }
  async networks() {
    return [...this.#made.values()];
  }
  async createNetwork(network: Network) {
    this.#made.set(network.id || network.name, network);
  }
  async removeNetwork(id: string) {
    this.#made.delete(id);
  }
  async applyEndpoints(request: ApplyRequest) {
    this.#call(`apply ${request.networkId}`);
  }
  watchContainers(onChange: (id: string) => void) {
    this.#listener = onChange;
  }
}
