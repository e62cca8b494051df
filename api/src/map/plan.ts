import type { Plan, PlannedTask } from "@creel/shared";
import { fromMillis } from "../http/time.ts";

type Json = Record<string, unknown>;
/** Tasks that one answer names; all are counted. */
const MAX_TASKS = 10_000;
const ACTIONS = ["create", "keep", "replace", "move", "stop", "wait"] as const;

/** A plan as the API writes it. */
export function toPlan(plan: Plan): Json {
  const node = (id: string) => (id === "" ? undefined : { ID: id, Hostname: plan.nodeNames[id] ?? id });
  let room = MAX_TASKS;
  const task = (planned: PlannedTask) => ({
    Action: planned.action,
    Slot: planned.slot || undefined,
    TaskID: planned.taskId || undefined,
    Node: node(planned.nodeId),
    From: planned.fromNodeId === planned.nodeId ? undefined : node(planned.fromNodeId),
    Reason: planned.reason || undefined,
  });
  return {
    Version: { Index: plan.index },
    At: fromMillis(plan.at),
    Services: plan.services.map((service) => {
      const shown = service.tasks.slice(0, room);
      room -= shown.length;
      return {
        ID: service.id,
        Name: service.name,
        Change: service.change,
        Counts: countsOf(service.tasks),
        Tasks: shown.map(task),
      };
    }),
    Truncated: plan.services.reduce((sum, { tasks }) => sum + tasks.length, 0) > MAX_TASKS,
    Fits: plan.fits,
    WithoutANode: {
      Fits: plan.withoutANode.fits,
      Checked: plan.withoutANode.checked,
      Nodes: plan.withoutANode.nodes,
      Losses: plan.withoutANode.losses.map(({ nodeId, unplaced }) => ({
        Node: node(nodeId),
        Unplaced: unplaced.map((left) => ({
          ServiceID: left.serviceId,
          ServiceName: left.serviceName,
          Tasks: left.tasks,
          Reason: left.reason,
        })),
      })),
    },
    Complete: plan.complete,
    Warnings: plan.warnings,
  };
}

function countsOf(tasks: PlannedTask[]): Record<string, number> {
  const counts = Object.fromEntries(ACTIONS.map((action) => [action, 0]));
  for (const { action } of tasks) counts[action]!++;
  return counts;
}
