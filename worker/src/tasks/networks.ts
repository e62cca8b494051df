import { type Clock, type Logger, messageOf, type Timer } from "@creel/shared";
import type { AssignedNetwork } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { Network } from "@creel/shared/gen/engine/v1/network.ts";
import type { Engine } from "../ports.ts";
import { GATEWAY_BRIDGE } from "./spec.ts";

const RETRY_MS = 300;

/** The overlay networks that the managers want on this node, and the bridge that gives their tasks a way out. */
export class Networks {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #retry: Timer | undefined;
  readonly #wanted = new Set<string>();
  /** Ids of ingress networks; the task's spec asks. */
  readonly ingress = new Set<string>();

  constructor(engine: Engine, clock: Clock, logger: Logger) {
    this.#engine = engine;
    this.#clock = clock;
    this.#logger = logger;
  }

  async set(assigned: AssignedNetwork[]): Promise<void> {
    if (assigned.length > 0) await this.#engine.createNetwork(gatewayBridge());
    for (const { network, nodeAddress } of assigned) {
      if (network?.spec === undefined) continue;
      this.#wanted.add(network.id);
      if (network.spec.ingress) this.ingress.add(network.id);
      await this.#engine.createNetwork(
        Network.fromPartial({
          id: network.id,
          name: network.spec.name,
          driver: "overlay",
          subnet: network.subnet,
          gateway: network.gateway,
          internal: network.spec.internal,
          attachable: network.spec.attachable,
          ingress: network.spec.ingress,
          vni: network.vni,
          nodeAddress,
          labels: network.spec.labels,
          options: network.spec.options,
          scope: "swarm",
        }),
      );
    }
  }

  /** A network whose last container is still on its way out is tried again until it is gone. */
  async remove(ids: string[]): Promise<void> {
    for (const id of ids) this.#wanted.delete(id);
    this.#retry?.cancel();
    this.#retry = undefined;
    let left = 0;
    for (const network of await this.#engine.networks()) {
      if (network.driver !== "overlay" || this.#wanted.has(network.id)) continue;
      try {
        await this.#engine.removeNetwork(network.id);
        this.ingress.delete(network.id);
      } catch (error) {
        left++;
        this.#logger.debug({ network: network.id, err: messageOf(error) }, "network not removed yet");
      }
    }
    if (left > 0) this.#retry = this.#clock.after(RETRY_MS, () => void this.remove([]).catch(() => {}));
  }

  /** No more attempts. */
  stop(): void {
    this.#retry?.cancel();
  }

  /** A full assignment: networks that `ids` does not name are to go. */
  async retain(ids: ReadonlySet<string>): Promise<void> {
    for (const id of this.#wanted) if (!ids.has(id)) this.#wanted.delete(id);
    await this.remove([]);
  }
}

function gatewayBridge(): Network {
  return Network.fromPartial({
    name: GATEWAY_BRIDGE,
    driver: "bridge",
    options: { "com.docker.network.bridge.enable_icc": "false" },
    predefined: true,
    scope: "local",
  });
}
