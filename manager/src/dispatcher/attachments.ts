import { CreelError, isCreelError, messageOf } from "@creel/shared";
import type {
  AttachmentRefusal,
  AttachmentReport,
  AttachmentWish,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import type { Network, NodeAttachment } from "@creel/shared/gen/cluster/v1/objects.ts";
import type { StoreView } from "../store/mod.ts";

/** A node's containers on the cluster's networks, at most: each costs an address, and is told to all nodes there. */
const MAX_ATTACHMENTS = 1_000;

/** What a node's report comes to: the attachments it is to have, and why it does not get the others. */
export function judgeAttachments(
  { attachments: wishes }: AttachmentReport,
  nodeId: string,
  view: StoreView,
): { attachments: NodeAttachment[]; refusals: AttachmentRefusal[] } {
  const had = new Set(view.node(nodeId)?.attachments.map(({ id }) => id));
  const attachments: NodeAttachment[] = [];
  const refusals: AttachmentRefusal[] = [];
  for (const wish of wishes) {
    try {
      if (attachments.length >= MAX_ATTACHMENTS) {
        throw new CreelError("too_many_attachments", { max: MAX_ATTACHMENTS });
      }
      const { id: networkId } = networkFor(wish, had.has(wish.id), view);
      const { id, address, names, container } = wish;
      attachments.push({ id, networkId, wishedAddress: address, names, container, address: "", err: "" });
    } catch (error) {
      const code = isCreelError(error) ? error.code : "internal";
      refusals.push({ id: wish.id, code, text: messageOf(error) });
    }
  }
  return { attachments, refusals };
}

function networkFor({ network: reference }: AttachmentWish, had: boolean, view: StoreView): Network {
  const network = view.network(reference) ?? view.networkByName(reference);
  if (!network?.spec) throw new CreelError("no_such_network", { id: reference });
  if (!had && !network.spec.attachable) {
    throw new CreelError("network_not_attachable", { name: network.spec.name });
  }
  return network;
}
