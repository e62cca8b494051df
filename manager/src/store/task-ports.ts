import type { PortConfig } from "@creel/shared/gen/cluster/v1/objects.ts";

/** Of published ports what a task is made with: the host-mode ones, and whether it is on the ingress network. */
export function taskPorts(ports: PortConfig[]): { host: PortConfig[]; ingress: boolean } {
  const host = ports.filter((port) => port.publishMode === "host");
  return { host, ingress: host.length < ports.length };
}
