import { CreelError, newId, type Random } from "@creel/shared";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { newNode } from "./ca/service.ts";
import type { NewCluster } from "./cluster.ts";
import { newNetwork } from "./control/networks.ts";
import type { Replica } from "./replica.ts";

const INGRESS = "ingress";

/** Writes a cluster's first objects, unless they are there already; `founder` is this node's id and its place among managers. */
export async function found(
  { cluster, availability }: NewCluster,
  founder: { nodeId: string; raftId: number; addr: string },
  replica: Replica,
  random: Random,
): Promise<void> {
  if (replica.view().cluster().id !== "") return;
  const { nodeId, ...manager } = founder;
  const node = { ...newNode(nodeId, NodeRole.NODE_ROLE_MANAGER, availability), manager };
  const network = newNetwork(newId(random), {
    name: INGRESS,
    labels: {},
    driver: "overlay",
    options: {},
    internal: false,
    attachable: false,
    ingress: true,
    subnet: "",
    gateway: "",
  });
  const { refusals } = await replica.propose([
    { kind: { $case: "putCluster", value: { cluster, ifVersion: 0 } } },
    { kind: { $case: "putNode", value: { node, ifVersion: 0 } } },
    { kind: { $case: "putNetwork", value: { network } } },
  ]);
  if (refusals[0]) throw new CreelError(refusals[0].code, refusals[0].params);
}
