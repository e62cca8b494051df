import { CreelError } from "@creel/shared";
import type { NodeDescription, Task } from "@creel/shared/gen/cluster/v1/objects.ts";
import { TemplateError, type TemplateOptions, template } from "@creel/shared/template";

const MAX_STEPS = 100_000;

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
 * Fills Docker's placeholders (`{{.Service.Name}}`, `{{index .Service.Labels "key"}}`, …). `what` is named when the
 * template is wrong, with the cause unless that is `hidden`: it may repeat some of the template, never what that was given.
 */
export function fill(
  text: string,
  context: TemplateContext,
  what: string,
  { functions = {}, hidden = false }: { functions?: TemplateOptions["functions"]; hidden?: boolean } = {},
): string {
  if (!text.includes("{{")) return text;
  try {
    return template(text, { functions, maxSteps: MAX_STEPS })(dataOf(context));
  } catch (error) {
    const why = !hidden && error instanceof TemplateError ? error.message : "its template is wrong";
    throw new CreelError("invalid_parameter", { message: `expanding ${what} failed: ${why}` });
  }
}

function dataOf({ task, nodeId, node }: TemplateContext) {
  return {
    Service: {
      ID: task.serviceId,
      Name: task.serviceName,
      Labels: new Map(Object.entries(task.serviceLabels)),
    },
    Node: {
      ID: nodeId,
      Hostname: node.hostname,
      Platform: { OS: node.platform?.os ?? "", Architecture: node.platform?.architecture ?? "" },
    },
    Task: { ID: task.id, Name: taskName(task), Slot: String(task.slot || nodeId) },
  };
}
