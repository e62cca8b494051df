import type { AllocateAttachments, SetAttachments } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { Node } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Draft, deny, type Outcome } from "./draft.ts";
import { freeze } from "./freeze.ts";
import type { Table } from "./table.ts";

/** Tells nothing to whoever waits for a new version of the node: `meta` stays. */
export function setAttachments(draft: Draft, { nodeId, attachments }: SetAttachments): Outcome {
  const node = draft.tables.nodes.get(nodeId);
  if (!node) return deny("no_such_node", { id: nodeId });
  const next = attachments
    .filter(({ networkId }) => draft.tables.networks.get(networkId))
    .map((wish) => {
      const known = node.attachments.find(({ id }) => id === wish.id);
      return { ...wish, address: known?.address ?? "", err: known?.err ?? "" };
    });
  draft.putNode(freeze({ ...node, attachments: next }));
}

/** As `setAttachments`; an attachment that was given up meanwhile gets nothing. */
export function allocateAttachments(draft: Draft, { nodeId, addresses }: AllocateAttachments): Outcome {
  const node = draft.tables.nodes.get(nodeId);
  if (!node) return deny("no_such_node", { id: nodeId });
  const attachments = node.attachments.map((attachment) => {
    const given = addresses.find(({ id }) => id === attachment.id);
    return given ? { ...attachment, address: given.address, err: given.err } : attachment;
  });
  draft.putNode(freeze({ ...node, attachments }));
}

/** A container that is on the network, as an error tells of it. */
export function attachedTo(nodes: Pick<Table<Node>, "find">, networkId: string) {
  const on = (node: Node) => node.attachments.find((each) => each.networkId === networkId);
  const node = nodes.find((each) => on(each) !== undefined);
  if (!node) return undefined;
  return {
    id: networkId,
    container: on(node)!.container || "that is being made",
    node: node.description?.hostname ?? node.id,
  };
}
