import { NodeDescription } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Container } from "@creel/shared/gen/engine/v1/container.ts";
import type { Engine } from "@creel/worker";

const blank = Container.fromPartial({ state: {} });

/** The engine's port over containers that are records: what it is asked for is there at once. */
export function simulatedEngine(number: number): Engine {
  const prefix = number.toString(16).padStart(56, "0");
  /** The process of each container; 0: it has none yet. */
  const pids = new Map<string, number>();
  const ended = new Map<string, (result: { exitCode: number; error: string }) => void>();
  let made = 10_000_000;
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
    everyContainer: async () => [],
    async createContainer() {
      const id = prefix + ++made;
      pids.set(id, 0);
      return id;
    },
    async startContainer(id) {
      pids.set(id, 1000);
    },
    async stopContainer(id) {
      ended.get(id)?.({ exitCode: 143, error: "" });
    },
    async removeContainer(id) {
      pids.delete(id);
      ended.delete(id);
    },
    async inspectContainer(id) {
      const pid = pids.get(id)!;
      return { ...blank, id, state: { ...blank.state!, pid, status: pid === 0 ? "created" : "running" } };
    },
    waitContainer: (id) => new Promise((resolve) => ended.set(id, resolve)),
    listens: async () => true,
    networks: async () => [],
    createNetwork: async () => {},
    removeNetwork: async () => {},
    applyEndpoints: async () => {},
    watchContainers() {},
  };
}
