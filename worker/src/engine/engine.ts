import { X509Certificate } from "node:crypto";
import { type Clock, CreelError, isCreelError, type Logger, messageOf, sleep } from "@creel/shared";
import { NodeDescription, type NodeResources } from "@creel/shared/gen/cluster/v1/objects.ts";
import { tlsOf } from "@creel/shared/tls";
import type { Engine } from "../ports.ts";
import type { EngineClient } from "./client.ts";

/** What the engine cannot know of its node. */
export interface NodeFacts {
  hostname(): string;
  /** Creel's version. */
  version: string;
  labels: Record<string, string>;
  /** Besides processor time and memory. */
  genericResources: Pick<NodeResources, "generic" | "named">;
  /** The node's own certificate and the roots it trusts, PEM. */
  identity(): { certificate: string; root: string };
  /** TCP port at which this node serves other nodes. */
  port: number;
}

const RETRY_MS = 500;
const REMOVE_TIMEOUT_MS = 120_000;

/** The worker's door to a running creel-engine. */
export function workerEngine(client: EngineClient, facts: NodeFacts, clock: Clock, logger: Logger): Engine {
  const { engine, images, containers, networks } = client;
  return {
    async describe() {
      const info = await engine.info({}, { timeoutMs: 10_000 });
      const description = NodeDescription.fromPartial({
        hostname: facts.hostname(),
        platform: { os: info.osType || "linux", architecture: info.architecture },
        resources: { nanoCpus: info.cpus * 1e9, memoryBytes: info.memoryBytes, ...facts.genericResources },
        engineVersion: facts.version,
        engineLabels: facts.labels,
        plugins: [
          "Log/json-file",
          "Log/local",
          "Network/bridge",
          "Network/host",
          "Network/overlay",
          "Volume/local",
        ],
        certificate: new X509Certificate(facts.identity().certificate).raw,
        tls: tlsOf(facts.identity()),
        port: facts.port,
      });
      return { description, instance: info.instanceId };
    },
    ensureImage: async (ref) => void (await images.inspect({ ref: withoutDigest(ref) })),
    containers: async (label) => (await containers.list({ all: true, labels: { [label]: "" } })).containers,
    everyContainer: async () => (await containers.list({ all: true, labels: {} })).containers,
    createContainer: async (name, spec) => (await containers.create({ name, spec })).id,
    startContainer: async (id) => void (await containers.start({ id })),
    async stopContainer(id, graceSeconds) {
      const request = { id, timeoutSeconds: graceSeconds, defaultTimeout: false, signal: "" };
      await containers.stop(request, { timeoutMs: graceSeconds * 1000 + REMOVE_TIMEOUT_MS });
    },
    async removeContainer(id) {
      await containers.remove({ id, force: true, volumes: true }, { timeoutMs: REMOVE_TIMEOUT_MS });
    },
    inspectContainer: (id) => containers.inspect({ id }),
    async waitContainer(id) {
      for await (const { kind } of containers.wait({ id, condition: "not-running" })) {
        if (kind?.$case === "result") return kind.value;
      }
      throw new CreelError("engine_unavailable", { socket: client.socket });
    },
    async listens(id, ports) {
      const open = (await containers.listening({ id })).ports;
      return ports.length === 0 ? open.length > 0 : ports.every((port) => open.includes(port));
    },
    networks: async () => (await networks.list({})).networks,
    async createNetwork(network) {
      const { networks: known } = await networks.list({});
      if (known.some(({ id, name }) => (network.id === "" ? name === network.name : id === network.id)))
        return;
      try {
        await networks.create(network);
      } catch (error) {
        if (!isCreelError(error, "network_name_taken") && !isCreelError(error, "name_in_use")) throw error;
        if (network.id !== "") throw error;
      }
    },
    removeNetwork: async (id) => void (await networks.remove({ id })),
    applyEndpoints: async (request) => void (await networks.apply(request)),
    watchContainers(onChange, signal, onSilent) {
      void watch(client, onChange, signal, onSilent, clock, logger);
    },
  };
}

/** A reference with tag and digest is looked up by its tag where the digest came with the tag. */
function withoutDigest(ref: string): string {
  return ref.replace(/^([^@]+:[\w.-]+)@sha256:[0-9a-f]{64}$/, "$1");
}

/** Follows the engine's events; after a gap every container may have changed. */
async function watch(
  client: EngineClient,
  onChange: (id: string) => void,
  signal: AbortSignal,
  onSilent: () => void,
  clock: Clock,
  logger: Logger,
): Promise<void> {
  let first = true;
  while (!signal.aborted) {
    try {
      const events = client.engine.events({ sinceSeq: 0 }, { signal });
      if (!first) await pokeAll(client, onChange);
      first = false;
      for await (const event of events) {
        if (event.missed) await pokeAll(client, onChange);
        if (event.type === "container") onChange(event.id);
        else if (event.type === "network" && event.attributes.container) onChange(event.attributes.container);
      }
    } catch (error) {
      if (isCreelError(error, "engine_unresponsive")) onSilent();
      if (!signal.aborted)
        logger.debug({ err: messageOf(error) }, "the engine's events ended; following again");
    }
    await sleep(clock, RETRY_MS, signal);
  }
}

async function pokeAll(client: EngineClient, onChange: (id: string) => void): Promise<void> {
  for (const { id } of (await client.containers.list({ all: true, labels: {} })).containers) onChange(id);
}
