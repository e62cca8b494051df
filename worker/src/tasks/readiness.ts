import type { Task } from "@creel/shared/gen/cluster/v1/objects.ts";

/** So long a task may take until it listens at its published ports. */
const PUBLISHED_PATIENCE_MS = 5_000;
/** The same where it publishes none, and may be one that only asks others. */
const UNKNOWN_PATIENCE_MS = 300;

/**
 * At which ports a new task is to listen before it counts as running (none named: at any), and how long that is waited
 * for: connections that come before would be refused.
 */
export function awaitedPorts(task: Task): { ports: number[]; patience: number } {
  const ports = task.ports.filter(({ protocol }) => protocol === "tcp").map(({ targetPort }) => targetPort);
  if (ports.length > 0) return { ports, patience: PUBLISHED_PATIENCE_MS };
  const reached = task.ports.length === 0 && task.attachments.length > 0 && task.jobIteration === 0;
  return { ports, patience: reached ? UNKNOWN_PATIENCE_MS : 0 };
}
