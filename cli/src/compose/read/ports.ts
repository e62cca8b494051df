import { ports as parsePorts } from "../../commands/options.ts";
import type { Port } from "../model.ts";
import type { Node } from "../yaml/node.ts";
import { integer, object, oneOf, type Read, type Scope, text } from "./shape.ts";

const port = integer(1, 65535);
const long = object<Port & { host_ip?: string; app_protocol?: string; name?: string }>(
  {
    target: port,
    published: integer(0, 65535),
    protocol: oneOf("tcp", "udp", "sctp"),
    mode: oneOf("ingress", "host"),
    host_ip: text,
    name: text,
    app_protocol: text,
  },
  { required: ["target"] },
);

/** Ports in their short and long forms; a range is as many ports. */
export const ports: Read<Port[]> = (node, scope) => {
  if (node.kind !== "list") return scope.fail(node, "must be a list");
  return node.items.flatMap((item, i) => entry(item, scope.at(i, item.at)));
};

function entry(node: Node, scope: Scope): Port[] {
  if (node.kind === "dict") return longForm(node, scope);
  if (node.kind !== "scalar" || node.value === null || node.source.includes("=")) {
    scope.fail(node, "must be a port, as 8080:80, or a mapping");
    return [];
  }
  try {
    return parsePorts(node.source).map(({ target, published, protocol, hostIp }) => {
      if (hostIp !== "")
        scope.problems.notes.add(
          `${scope.path}: the address ${hostIp} is ignored: services are published on all`,
        );
      return { mode: "ingress", target, ...(published > 0 && { published }), protocol };
    });
  } catch {
    scope.fail(
      node,
      `"${node.source}" is no port`,
      "[PUBLISHED:]TARGET[/PROTOCOL], where both may be ranges of one length",
    );
    return [];
  }
}

function longForm(node: Node, scope: Scope): Port[] {
  const read = long(node, scope);
  if (read === undefined) return [];
  const { host_ip, name: _name, app_protocol: _protocol, ...found } = read;
  if (host_ip !== undefined)
    scope.problems.notes.add(
      `${scope.path}: the address ${host_ip} is ignored: services are published on all`,
    );
  return [{ mode: "ingress", protocol: "tcp", ...found }];
}
