import { setTimeout as delay } from "node:timers/promises";
import type { Context } from "../context.ts";

/** How long a service must stay as wanted before it counts as converged. */
const STABLE_MS = 1000;
/** Ends that say the service never will converge by itself. */
const GIVE_UP_MS = 60_000;

interface Service {
  Spec: { Name: string; Mode: { Replicated?: { Replicas: number }; Global?: object } };
  UpdateStatus?: { State?: string; Message?: string };
  ServiceStatus?: { RunningTasks: number; DesiredTasks: number };
}
interface Task {
  Slot?: number;
  DesiredState: string;
  Status: { State: string; Err?: string; Message?: string };
}

/**
 * Waits until all wanted tasks run and go on running for a moment, showing what it waits for. Resolves with undefined
 * then, or with the cause when the update stopped or nothing moved for a minute.
 */
export async function converge(context: Context, id: string, quiet: boolean): Promise<string | undefined> {
  const { client } = context;
  const show = progress(quiet);
  let stableSince = 0;
  let movedAt = Date.now();
  let before = "";
  for (;;) {
    const [service] = await client.get<Service[]>("/services", {
      status: true,
      filters: JSON.stringify({ id: [id] }),
    });
    if (service === undefined) return "the service is gone";
    const tasks = await client.get<Task[]>("/tasks", { filters: JSON.stringify({ service: [id] }) });
    const { RunningTasks: running, DesiredTasks: desired } = service.ServiceStatus ?? {
      RunningTasks: 0,
      DesiredTasks: 0,
    };
    const update = service.UpdateStatus?.State ?? "";
    const waiting = tasks.filter(
      (task) => task.DesiredState === "running" && task.Status.State !== "running",
    );
    const cause = waiting.map((task) => task.Status.Err).find((err) => err) ?? lastError(tasks);
    const line = `${running} of ${desired} tasks run${cause && running < desired ? `; ${cause}` : ""}`;
    show(line);
    if (line + update !== before) movedAt = Date.now();
    before = line + update;
    if (update === "paused" || update === "rollback_paused")
      return `service update paused: ${service.UpdateStatus?.Message ?? ""}`;
    if (running === desired && update !== "updating" && update !== "rollback_started") {
      stableSince ||= Date.now();
      if (Date.now() - stableSince >= STABLE_MS) {
        show(`verify: Service ${service.Spec.Name} converged`, true);
        return undefined;
      }
    } else {
      stableSince = 0;
    }
    if (Date.now() - movedAt > GIVE_UP_MS) return `the service does not converge: ${line}`;
    await delay(100);
  }
}

function lastError(tasks: Task[]): string | undefined {
  return tasks.map((task) => task.Status.Err).find((err) => err);
}

/** On a terminal one line that changes; else a line whenever it changes. */
function progress(quiet: boolean): (line: string, last?: boolean) => void {
  if (quiet) return () => {};
  let before = "";
  const terminal = process.stdout.isTTY;
  return (line, last = false) => {
    if (line === before) return;
    before = line;
    process.stdout.write(
      terminal
        ? `\r\x1b[K${line.slice(0, (process.stdout.columns ?? 80) - 1)}${last ? "\n" : ""}`
        : `${line}\n`,
    );
  };
}
