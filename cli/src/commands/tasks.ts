import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import { span } from "../output/words.ts";

interface Task {
  ID: string;
  ServiceID: string;
  Slot?: number;
  NodeID?: string;
  DesiredState: string;
  CreatedAt: string;
  Spec: { ContainerSpec: { Image: string } };
  Status: {
    State: string;
    Timestamp: string;
    Err?: string;
    PortStatus?: { Ports?: { PublishedPort: number; TargetPort: number; Protocol: string }[] };
  };
}
interface Named {
  ID: string;
  Spec: { Name?: string };
  Description?: { Hostname: string };
}

/** Prints tasks as `docker service ps` does: by slot, the newest first, older ones below with ` \_ `. */
export async function printTasks(
  { client, print }: Context,
  by: Record<string, string[]>,
  o: { quiet?: boolean; trunc?: boolean },
): Promise<void> {
  const [tasks, services, nodes] = await Promise.all([
    client.get<Task[]>("/tasks", { filters: JSON.stringify(by) }),
    client.get<Named[]>("/services"),
    client.get<Named[]>("/nodes"),
  ]);
  const serviceNames = new Map(services.map((each) => [each.ID, each.Spec.Name ?? each.ID]));
  const nodeNames = new Map(nodes.map((each) => [each.ID, each.Description?.Hostname ?? each.ID]));
  const name = (task: Task) =>
    `${serviceNames.get(task.ServiceID) ?? task.ServiceID}.${task.Slot || task.NodeID}`;
  tasks.sort(
    (a, b) =>
      name(a).localeCompare(name(b), "en", { numeric: true }) || b.CreatedAt.localeCompare(a.CreatedAt),
  );
  const id = (text: string) => (o.trunc === false ? text : text.slice(0, 12));
  if (o.quiet) {
    for (const task of tasks) print(id(task.ID));
    return;
  }
  let before = "";
  const rows = tasks.map((task) => {
    const own = name(task);
    const shown = own === before ? ` \\_ ${own}` : own;
    before = own;
    const state = `${title(task.Status.State)} ${span(Date.now() - Date.parse(task.Status.Timestamp)).toLowerCase()} ago`;
    const ports = (task.Status.PortStatus?.Ports ?? []).map(
      (p) => `*:${p.PublishedPort}->${p.TargetPort}/${p.Protocol}`,
    );
    const error = task.Status.Err ? `"${task.Status.Err}"` : "";
    const node = task.NodeID ? (nodeNames.get(task.NodeID) ?? task.NodeID) : "";
    return [
      id(task.ID),
      shown,
      task.Spec.ContainerSpec.Image,
      node,
      title(task.DesiredState),
      state,
      error,
      ports.join(","),
    ];
  });
  print(
    table([["ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS"], ...rows]),
  );
}

function title(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
