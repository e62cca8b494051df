import { Availability, type Node, NodeState } from "@creel/shared/gen/cluster/v1/objects.ts";

/** Its tasks cannot be counted on: it is gone, down, or to be emptied. */
export function isUnfit(node: Node | undefined): boolean {
  return isDown(node) || isDrained(node);
}

/** Nothing that it runs answers any more. */
export function isDown(node: Node | undefined): boolean {
  return node === undefined || node.status?.state === NodeState.NODE_STATE_DOWN;
}

export function isDrained(node: Node | undefined): boolean {
  return node?.spec?.availability === Availability.AVAILABILITY_DRAIN;
}

/** It takes new tasks. */
export function takesTasks(node: Node): boolean {
  return (
    node.status?.state === NodeState.NODE_STATE_READY &&
    node.spec?.availability === Availability.AVAILABILITY_ACTIVE
  );
}
