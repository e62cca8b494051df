import { CreelError } from "@creel/shared";
import type { Container } from "@creel/shared/gen/engine/v1/container.ts";
import { anyOf, booleanFilter, type Filters, labelsMatch, nameMatches } from "../http/filters.ts";

/** Filters of GET /containers/json. */
export const CONTAINER_FILTERS = [
  "ancestor",
  "before",
  "exited",
  "expose",
  "health",
  "id",
  "is-task",
  "isolation",
  "label",
  "name",
  "network",
  "publish",
  "since",
  "status",
  "volume",
] as const;

const STATES = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];
const HEALTHS = ["starting", "healthy", "unhealthy", "none"];

/** Whether the filters speak of containers that do not run, so that all are looked at. Refuses values of no sense. */
export function wantsAll(filters: Filters): boolean {
  for (const state of filters.get("status") ?? []) {
    if (!STATES.includes(state)) {
      throw new CreelError("invalid_parameter", {
        message: `invalid filter 'status=${state}': the states are ${STATES.join(", ")}`,
      });
    }
  }
  for (const code of filters.get("exited") ?? []) {
    if (!/^-?\d{1,10}$/.test(code)) throw new CreelError("invalid_filter", { filter: `exited=${code}` });
  }
  for (const health of filters.get("health") ?? []) {
    if (!HEALTHS.includes(health)) throw new CreelError("invalid_filter", { filter: `health=${health}` });
  }
  return filters.has("status") || filters.has("exited");
}

/** A test of the filters; `all` are the containers that `before` and `since` may name. */
export function containerTest(filters: Filters, all: Container[]): (container: Container) => boolean {
  const created = (key: string) => {
    const wanted = filters.get(key)?.[0];
    if (wanted === undefined) return undefined;
    const found = all.find(({ id, name }) => name === wanted.replace(/^\//, "") || id.startsWith(wanted));
    if (!found) throw new CreelError("no_such_container", { id: wanted });
    return BigInt(found.createdNanos);
  };
  const before = created("before");
  const since = created("since");
  const task = booleanFilter(filters, "is-task");
  return (container) => {
    const state = container.state!;
    const health = state.health || "none";
    const at = BigInt(container.createdNanos);
    return (
      anyOf(filters, "id", (id) => container.id.startsWith(id)) &&
      nameMatches(filters, "name", `/${container.name}`) &&
      labelsMatch(filters, "label", container.mergedLabels) &&
      anyOf(filters, "status", (status) => state.status === status) &&
      anyOf(filters, "exited", (code) => state.status === "exited" && state.exitCode === Number(code)) &&
      anyOf(filters, "health", (wanted) => health === wanted) &&
      anyOf(filters, "ancestor", (image) => isOf(container, image)) &&
      anyOf(filters, "network", (network) =>
        [
          ...container.endpoints.flatMap((end) => [
            end.networkName === network,
            end.networkId.startsWith(network),
          ]),
          ...container.networks.map((attached) => attached.network === network),
        ].some(Boolean),
      ) &&
      anyOf(filters, "volume", (volume) =>
        container.mounts.some(
          ({ source, target }) => target === volume || source === volume || source.includes(`/${volume}/`),
        ),
      ) &&
      portsMatch(filters, container) &&
      (task === undefined || task === Object.hasOwn(container.mergedLabels, "com.docker.swarm.task.id")) &&
      (before === undefined || at < before) &&
      (since === undefined || at > since)
    );
  };
}

/** The host's ports that are published, or the container's that are published or exposed: one of them is enough. */
function portsMatch(filters: Filters, container: Container): boolean {
  const publish = filters.get("publish") ?? [];
  const expose = filters.get("expose") ?? [];
  if (publish.length + expose.length === 0) return true;
  const exposed = container.spec!.exposedPorts.map((port) => {
    const [number = "", protocol = "tcp"] = port.split("/");
    return { containerPort: Number(number), protocol };
  });
  return (
    container.ports.some(({ hostPort, protocol }) =>
      publish.some((wanted) => inRange(wanted, hostPort, protocol)),
    ) ||
    [...container.ports, ...exposed].some(({ containerPort, protocol }) =>
      expose.some((wanted) => inRange(wanted, containerPort, protocol)),
    )
  );
}

function isOf(container: Container, image: string): boolean {
  const id = container.imageId.replace(/^sha256:/, "");
  const own = container.image;
  if (own === image || own === `${image}:latest` || `${own}:latest` === image) return true;
  return (
    /^[0-9a-f]{4,64}$/.test(image.replace(/^sha256:/, "")) && id.startsWith(image.replace(/^sha256:/, ""))
  );
}

function inRange(wanted: string, port: number, protocol: string): boolean {
  const [, from, to = from, kind = "tcp"] = /^(\d+)(?:-(\d+))?(?:\/(\w+))?$/.exec(wanted) ?? [];
  if (from === undefined) throw new CreelError("invalid_filter", { filter: wanted });
  return kind === protocol && port >= Number(from) && port <= Number(to);
}
