import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import {
  Availability,
  Network,
  Node,
  NodeRole,
  NodeState,
  type PortConfig,
  Secret,
  type SecretReference,
  Service,
  ServiceSpec,
  TaskSpec,
} from "@creel/shared/gen/cluster/v1/objects.ts";

const GIB = 2 ** 30;

export function aNode(id: string, change: Partial<Node> = {}): Node {
  const node = Node.fromPartial({
    id,
    spec: { role: NodeRole.NODE_ROLE_WORKER, availability: Availability.AVAILABILITY_ACTIVE },
    description: {
      hostname: `host-${id}`,
      platform: { os: "linux", architecture: "x86_64" },
      resources: { nanoCpus: 4e9, memoryBytes: 8 * GIB },
      engineVersion: "0.1.0",
      plugins: ["Log/json-file", "Network/overlay", "Volume/local"],
    },
    status: { state: NodeState.NODE_STATE_READY, addr: "10.9.0.1" },
    dataPathAddr: "10.9.0.1",
  });
  return { ...node, ...change };
}

export function aServiceSpec(name: string, replicas: number, change: Partial<ServiceSpec> = {}): ServiceSpec {
  return {
    ...ServiceSpec.fromPartial({ name, mode: { $case: "replicated", value: { replicas } } }),
    task: aTaskSpec(),
    ...change,
  };
}

/** `TaskSpec.fromPartial` of `change`, with an image. */
export function aTaskSpec(change: Parameters<typeof TaskSpec.fromPartial>[0] = {}): TaskSpec {
  return TaskSpec.fromPartial({ container: { image: "whoami:1" }, ...change });
}

export function aService(id: string, spec: ServiceSpec): Service {
  return { ...Service.fromPartial({ id }), spec };
}

export function aNetwork(id: string, name: string, ingress = false): Network {
  return Network.fromPartial({ id, spec: { name, driver: "overlay", ingress } });
}

export function aPort(targetPort: number, publishedPort = 0, publishMode = "ingress"): PortConfig {
  return { name: "", protocol: "tcp", targetPort, publishedPort, publishMode };
}

export const putNode = (node: Node): Action => ({
  kind: { $case: "putNode", value: { node, ifVersion: 0 } },
});
export const putService = (service: Service, ifVersion = 0): Action => ({
  kind: { $case: "putService", value: { service, ifVersion, updateStatus: undefined } },
});
export const putNetwork = (network: Network): Action => ({
  kind: { $case: "putNetwork", value: { network } },
});

/** A secret (or config: they have the same shape) with one revision. */
export function aSecret(id: string, name = id, value = "value"): Secret {
  return Secret.fromPartial({
    id,
    spec: { name },
    revisions: [{ number: 1, data: Buffer.from(value) }],
    revision: 1,
  });
}

/** A task's reference to it, as control writes it. */
export function aReference(id: string, name = id, revision = 1): SecretReference {
  return { id, name, revision, file: { name, uid: "0", gid: "0", mode: 0o444 } };
}
export const putSecret = (secret: Secret): Action => ({
  kind: { $case: "putSecret", value: { secret, ifVersion: 0 } },
});
