import { setTimeout as delay } from "node:timers/promises";
import type { Lab } from "../lab/lab.ts";
import type { Rest } from "../rest.ts";
import { count, emptyTally, type Target, table } from "./requests.ts";
import type { TaskView } from "./service.ts";

interface NodeView {
  ID: string;
  Description: { Hostname: string };
  Status: { State: string };
  Spec: { Availability: string };
  ManagerStatus?: { Leader?: boolean; Reachability: string };
}
interface ServiceView {
  ID: string;
  Spec: { Name: string };
}

/** Shows nodes, tasks and who answers, twice a second, until `signal` aborts. */
export async function live(lab: Lab, hosts: Target[], port: number, signal: AbortSignal): Promise<void> {
  let tally = emptyTally(hosts);
  let since = Date.now();
  let drawn = 0;
  while (!signal.aborted) {
    for (const host of hosts) if (!signal.aborted) await count(tally, host, port);
    const picture = [await clusterPicture(lab), table(tally), summary(tally.total, tally.failed)].join(
      "\n\n",
    );
    if (process.stdout.isTTY) {
      if (drawn > 0) process.stdout.write(`\x1b[${drawn}A\x1b[J`);
      process.stdout.write(`${picture}\n`);
      drawn = picture.split("\n").length;
    } else if (Date.now() - since > 9000 || drawn === 0) {
      console.log(`${picture}\n`);
      drawn = 1;
    }
    if (Date.now() - since > 10_000) {
      tally = emptyTally(hosts);
      since = Date.now();
    }
    await delay(400, undefined, { signal }).catch(() => {});
  }
}

const summary = (total: number, failed: number) =>
  `${total} requests in the last seconds, ${failed} failed · Ctrl-C ends it all`;

async function clusterPicture(lab: Lab): Promise<string> {
  for (const node of lab.nodes) {
    try {
      return await picture(lab.rest(node.name));
    } catch {
      // Another manager knows as much.
    }
  }
  return "no manager answers";
}

async function picture(rest: Rest): Promise<string> {
  const [nodes, services, tasks] = await Promise.all([
    rest.call<NodeView[]>("GET", "/nodes", undefined, 2000),
    rest.call<ServiceView[]>("GET", "/services", undefined, 2000),
    rest.call<TaskView[]>("GET", "/tasks", undefined, 2000),
  ]);
  const names = new Map(services.map((service) => [service.ID, service.Spec.Name]));
  const lines = nodes
    .sort((a, b) => (a.Description.Hostname < b.Description.Hostname ? -1 : 1))
    .map((node) => {
      const own = tasks
        .filter((task) => task.NodeID === node.ID && task.DesiredState === "running")
        .sort((a, b) => a.Slot - b.Slot)
        .map(
          (task) =>
            `${names.get(task.ServiceID) ?? "?"}.${task.Slot}${task.Status.State === "running" ? "" : ` (${task.Status.State})`}`,
        );
      const role = node.ManagerStatus?.Leader ? "leader" : node.ManagerStatus ? "manager" : "worker";
      return `${node.Description.Hostname}  ${node.Status.State.padEnd(6)} ${node.Spec.Availability.padEnd(7)} ${role.padEnd(8)} ${own.join(" ")}`;
    });
  return lines.join("\n");
}
