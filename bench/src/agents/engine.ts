import { NodeDescription } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Container } from "@creel/shared/gen/engine/v1/container.ts";
import type { Engine } from "@creel/worker";

const blank = Container.fromPartial({ state: {} });

/** The engine's port over containers that are records: what it is asked for is there at once. */
export function simulatedEngine(number: number): Engine {
  const containers = new Map<string, Container>();
  const ended = new Map<string, (result: { exitCode: number; error: string }) => void>();
  let made = 0;
  return {
    describe: async () => ({
      instance: "1",
      description: NodeDescription.fromPartial({
        hostname: `host${number}`,
        platform: { os: "linux", architecture: "x86_64" },
        resources: { nanoCpus: 64e9, memoryBytes: 256 * 2 ** 30 },
        plugins: ["Log/json-file", "Network/overlay", "Volume/local"],
        engineVersion: "simulated",
      }),
    }),
    ensureImage: async () => {},
    containers: async () => [],
    async createContainer(name) {
      const id = `${number.toString(16).padStart(8, "0")}${(++made).toString(16).padStart(56, "0")}`;
      containers.set(id, { ...blank, id, name, state: { ...blank.state!, status: "created" } });
      return id;
    },
    async startContainer(id) {
      const state = containers.get(id)!.state!;
      state.status = "running";
      state.pid = 1000 + made;
    },
    async stopContainer(id) {
      ended.get(id)?.({ exitCode: 143, error: "" });
    },
    async removeContainer(id) {
      containers.delete(id);
      ended.delete(id);
    },
    inspectContainer: async (id) => containers.get(id)!,
    waitContainer: (id) => new Promise((resolve) => ended.set(id, resolve)),
    listens: async () => true,
    networks: async () => [],
    createNetwork: async () => {},
    removeNetwork: async () => {},
    applyEndpoints: async () => {},
    watchContainers() {},
  };
}
