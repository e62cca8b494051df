import { type Logger, messageOf } from "@creel/shared";
import type { AssignedNetwork } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { Network } from "@creel/shared/gen/engine/v1/network.ts";
import type { Engine } from "../ports.ts";
import { GATEWAY_BRIDGE } from "./spec.ts";

/** The overlay networks that the managers want on this node, and the bridge that gives their tasks a way out. */
export class Networks {
  readonly #engine: Engine;
  readonly #logger: Logger;
  readonly #wanted = new Set<string>();
  /** Ids of ingress networks; the task's spec asks. */
  readonly ingress = new Set<string>();

  constructor(engine: Engine, logger: Logger) {
    this.#engine = engine;
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

  /** Networks whose last container may still be on its way out are tried again with the next assignment. */
  async remove(ids: string[]): Promise<void> {
    for (const id of ids) this.#wanted.delete(id);
    for (const network of await this.#engine.networks()) {
      if (network.driver !== "overlay" || this.#wanted.has(network.id)) continue;
      this.ingress.delete(network.id);
      try {
        await this.#engine.removeNetwork(network.id);
      } catch (error) {
        this.#logger.debug({ network: network.id, err: messageOf(error) }, "network not removed yet");
      }
    }
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
