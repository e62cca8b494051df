import { type Calls, CreelError, callsOf } from "@creel/shared";
import {
  NodeStreamsClient,
  type NodeStreamsServer,
  NodeStreamsService,
  type TaskLogsRequest,
} from "@creel/shared/gen/cluster/v1/control.ts";
import type { Node } from "@creel/shared/gen/cluster/v1/objects.ts";
import { connect, type IdentitySource } from "@creel/shared/tls";
import type { StoreView } from "./store/mod.ts";

const DEFAULT_PORT = 2377;

/** Where a node serves other nodes (host:port); empty while nobody knows. */
export function addressOf(node: Node): string {
  if (node.manager) return node.manager.addr;
  const host = node.status?.addr ?? "";
  if (host === "") return "";
  return `${host.includes(":") ? `[${host}]` : host}:${node.description?.port || DEFAULT_PORT}`;
}

/** A task's log, from the node that runs it; ends when `signal` aborts. A task without a node yet has none. */
export async function* taskLogs(
  request: TaskLogsRequest,
  view: StoreView,
  identity: IdentitySource,
  signal: AbortSignal,
): AsyncGenerator<{ data: Uint8Array; raw: boolean }> {
  const task = view.record(request.taskId);
  if (!task) throw new CreelError("no_such_task", { id: request.taskId });
  if (task.nodeId === "") return;
  const node = view.node(task.nodeId);
  const addr = node ? addressOf(node) : "";
  if (addr === "") throw new CreelError("no_such_node", { id: task.nodeId });
  const client = connect(NodeStreamsClient, addr, identity, { nodeId: task.nodeId });
  try {
    const calls: Calls<NodeStreamsServer> = callsOf(client, NodeStreamsService, addr, 0);
    yield* calls.logs(request, { signal });
  } finally {
    client.close();
  }
}
