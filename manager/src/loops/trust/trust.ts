import type { Node, RootCa, RootRotation } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Loop } from "../loop.ts";

/** Ends a rotation of the root once every node has a certificate of the new one: the old one is trusted no longer. */
export const trust: Loop = (view, changed) => {
  if (!changed.full && !changed.cluster && changed.nodes.size === 0) return { actions: [] };
  const cluster = view.cluster();
  const rotation = cluster.rootCa?.rotation;
  if (!rotation || !view.nodes().every((node) => has(node, rotation))) return { actions: [] };
  const value = {
    cluster: { ...cluster, rootCa: rotated(cluster.rootCa!, rotation) },
    ifVersion: cluster.meta?.version ?? 0,
  };
  return { actions: [{ kind: { $case: "putCluster", value } }] };
};

function has({ description }: Node, { issuerKey }: RootRotation): boolean {
  const own = description?.tls?.issuerKey;
  return own?.length === issuerKey.length && own.every((byte, i) => byte === issuerKey[i]);
}

/** The tokens change with the root; how long they are good for does not. */
function rotated(before: RootCa, { certificate, key, workerToken, managerToken }: RootRotation): RootCa {
  return { ...before, certificate, key, workerToken, managerToken, rotation: undefined };
}
