import { CreelError } from "@creel/shared";
import type { BoundPort, PortBinding } from "@creel/shared/gen/engine/v1/container.ts";

type Bindings = Record<string, { HostIp?: string | null; HostPort?: string | null }[] | null | undefined>;

const bad = (message: string) => new CreelError("invalid_parameter", { message });

/** Port and protocol of `80/tcp` or `80`. */
function parsePort(port: string): { port: number; protocol: string } {
  const [, digits, protocol = "tcp"] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(port) ?? [];
  const number = Number(digits);
  if (digits === undefined || number < 1 || number > 65535)
    throw bad(`invalid port specification: "${port}"`);
  return { port: number, protocol: protocol.toLowerCase() };
}

/** The engine's bindings for Docker's `PortBindings`. */
export function parseBindings(bindings: Bindings): PortBinding[] {
  return Object.entries(bindings).flatMap(([key, hosts]) => {
    const { port, protocol } = parsePort(key);
    return (hosts?.length ? hosts : [{ HostIp: "", HostPort: "" }]).map((host) => ({
      hostIp: host.HostIp ?? "",
      ...hostPorts(host.HostPort ?? ""),
      containerPort: port,
      protocol,
    }));
  });
}

/** A port, or the range of which a free one is taken. */
function hostPorts(value: string): { hostPort: number; hostPortEnd: number } {
  if (value === "") return { hostPort: 0, hostPortEnd: 0 };
  const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(value) ?? [];
  const [from, to] = [Number(first), Number(last ?? first)];
  if (first === undefined || from > to || to > 65535) throw bad(`invalid port specification: "${value}"`);
  return { hostPort: from, hostPortEnd: from === to ? 0 : to };
}

/** `NetworkSettings.Ports`: bound ports with their host side, exposed ones with null. */
export function toPortMap(bound: BoundPort[], exposed: string[]): Record<string, unknown> {
  const ports: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  for (const port of exposed) ports[port.includes("/") ? port : `${port}/tcp`] = null;
  for (const { hostIp, hostPort: host, containerPort, protocol } of bound) {
    const key = `${containerPort}/${protocol}`;
    ports[key] = [...(ports[key] ?? []), { HostIp: hostIp || "0.0.0.0", HostPort: String(host) }];
  }
  return ports;
}

/** `Ports` of the container list. */
export function toPortList(bound: BoundPort[], exposed: string[]): unknown[] {
  const seen = new Set(bound.map((port) => `${port.containerPort}/${port.protocol}`));
  const plain = exposed
    .map((port) => parsePort(port))
    .filter(({ port, protocol }) => !seen.has(`${port}/${protocol}`))
    .map(({ port, protocol }) => ({ PrivatePort: port, Type: protocol }));
  return [
    ...bound.map((port) => ({
      IP: port.hostIp || "0.0.0.0",
      PrivatePort: port.containerPort,
      PublicPort: port.hostPort,
      Type: port.protocol,
    })),
    ...plain,
  ];
}
