import { CreelError, type Millis, type Why } from "@creel/shared";
import type { StoreView } from "../store/mod.ts";
import { whyNode } from "./node.ts";
import { whyService } from "./service.ts";
import { whyTask } from "./task.ts";

/** Why the service, task or node of that id is as it is, from what the store holds. */
export function why(view: StoreView, kind: Why["kind"], id: string, now: Millis): Why {
  if (kind === "service") {
    const service = view.service(id);
    if (!service) throw new CreelError("no_such_service", { id });
    return whyService(view, service, now);
  }
  if (kind === "task") {
    const task = view.record(id);
    if (!task) throw new CreelError("no_such_task", { id });
    return whyTask(view, task, now);
  }
  const node = view.node(id);
  if (!node) throw new CreelError("no_such_node", { id });
  return whyNode(view, node, now);
}
