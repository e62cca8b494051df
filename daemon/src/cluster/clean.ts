import { isCreelError, type Logger, messageOf } from "@creel/shared";
import { type EngineClient, TASK_LABEL } from "@creel/worker";

/** Takes away what a cluster has put on this node: its tasks' containers, then its networks. */
export async function cleanNode(engine: EngineClient, logger: Logger): Promise<void> {
  const { containers } = await engine.containers.list({ all: true, labels: { [TASK_LABEL]: "" } });
  const remove = (
    what: string,
    id: string,
    removal: Promise<unknown>,
    gone: "no_such_container" | "no_such_network",
  ) =>
    removal.catch((error: unknown) => {
      if (!isCreelError(error, gone))
        logger.warn({ [what]: id, error: messageOf(error) }, `a ${what} of the swarm was not removed`);
    });
  await Promise.all(
    containers.map(({ id }) =>
      remove(
        "container",
        id,
        engine.containers.remove({ id, force: true, volumes: true }),
        "no_such_container",
      ),
    ),
  );
  const { networks } = await engine.networks.list({});
  for (const { id } of networks.filter(({ driver }) => driver === "overlay")) {
    await remove("network", id, engine.networks.remove({ id }), "no_such_network");
  }
}
