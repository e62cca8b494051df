import type { NodeDescription, Task } from "@creel/shared/gen/cluster/v1/objects.ts";

/** What a template may speak of: the task and the node that runs it. */
export interface TemplateContext {
  task: Task;
  nodeId: string;
  node: NodeDescription;
}

/** A task's name as users see it: `service.slot.id`, or `service.node.id` of a global service. */
export function taskName(task: Task): string {
  return `${task.serviceName}.${task.slot || task.nodeId}.${task.id}`;
}

/**
 * Fills Docker's placeholders (`{{.Service.Name}}`, `{{index .Service.Labels "key"}}`, …) in hostnames, environment
 * and mounts; one that does not exist is left as it stands.
 */
export function fill(text: string, { task, nodeId, node }: TemplateContext): string {
  if (!text.includes("{{")) return text;
  const values: Record<string, string> = {
    ".Service.ID": task.serviceId,
    ".Service.Name": task.serviceName,
    ".Node.ID": nodeId,
    ".Node.Hostname": node.hostname,
    ".Node.Platform.OS": node.platform?.os ?? "",
    ".Node.Platform.Architecture": node.platform?.architecture ?? "",
    ".Task.ID": task.id,
    ".Task.Name": taskName(task),
    ".Task.Slot": String(task.slot || ""),
  };
  return text.replace(/\{\{-?\s*(.*?)\s*-?\}\}/g, (whole, inner: string) => {
    const label =
      /^index\s+\.Service\.Labels\s+"([^"]*)"$/.exec(inner) ?? /^\.Service\.Labels\.(\w+)$/.exec(inner);
    if (label) return task.serviceLabels[label[1]!] ?? "";
    return values[inner] ?? whole;
  });
}
