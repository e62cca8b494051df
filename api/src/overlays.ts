import { isCreelError, sleep } from "@creel/shared";
import type { NetworkAttachment } from "@creel/shared/gen/engine/v1/container.ts";
import type { ApiContext } from "./context.ts";

const BUILTIN = ["bridge", "host", "none"];
const GIVE_BACK_MS = 3_000;
const LOOK_MS = 100;

/**
 * Does `work` with places on those of the networks that are the cluster's: the managers say which address the container has
 * there. Networks of this node alone, and those that nobody knows, are the engine's to judge.
 */
export async function withPlaces<T>(
  context: ApiContext,
  networks: NetworkAttachment[],
  work: () => Promise<T>,
): Promise<T> {
  const places: { release(): void }[] = [];
  try {
    for (const attachment of await ofTheCluster(context, networks)) {
      const place = await context.cluster.attach(attachment.network, attachment.address);
      places.push(place);
      attachment.address = place.address;
    }
    return await work();
  } finally {
    for (const place of places) place.release();
  }
}

async function ofTheCluster(
  { engine, cluster }: ApiContext,
  networks: NetworkAttachment[],
): Promise<NetworkAttachment[]> {
  const asked = networks.filter(({ network }) => !BUILTIN.includes(network));
  if (asked.length === 0 || cluster.localState() !== "active") return [];
  const { networks: known } = await engine.networks.list({});
  return asked.filter(({ network }) => {
    const found = known.find(({ id, name }) => id === network || name === network);
    if (!found) return !known.some(({ id }) => id.startsWith(network));
    return found.driver === "overlay";
  });
}

/** Does `removal` of a network; what containers that have just gone had on it is given back a moment later. */
export async function onceGivenBack(context: ApiContext, removal: () => Promise<unknown>): Promise<void> {
  const end = context.clock.now() + GIVE_BACK_MS;
  for (;;) {
    try {
      await removal();
      return;
    } catch (error) {
      if (!isCreelError(error, "network_attached") || context.clock.now() >= end) throw error;
    }
    await sleep(context.clock, LOOK_MS);
  }
}
