import { isCreelError, type Logger, messageOf } from "@creel/shared";
import { type EngineClient, TASK_LABEL } from "@creel/worker";

/** Takes away what a cluster has put on this node: its tasks' containers, then its networks, also from other containers. */
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
  const { containers: others } = await engine.containers.list({ all: true, labels: {} });
  for (const { id, name } of networks.filter(({ driver }) => driver === "overlay")) {
    for (const other of others.filter((each) =>
      each.networks.some(({ network }) => [id, name].includes(network)),
    )) {
      const leave = engine.networks.disconnect({ network: id, containerId: other.id, force: true });
      await remove("container", other.id, leave, "no_such_container");
    }
    await remove("network", id, engine.networks.remove({ id }), "no_such_network");
  }
}
