import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, listing, listOptions, shorten, type View } from "../../output/listing.ts";
import { span, title } from "../../output/words.ts";
import { filterOption, filters } from "../words.ts";

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
/** What a listing of tasks can be asked for. */
export interface TaskListOptions extends ListOptions {
  filter?: string[];
  resolve: boolean;
}

/** Gives a command the options of a listing of tasks. */
export function taskListOptions(command: Command): Command {
  return listOptions(filterOption(command, "desired-state, id, label, name, node, service")).option(
    "--no-resolve",
    "ids in place of names",
  );
}

type Row = Task & { name: string; shown: string; node: string };

/** Prints tasks as `docker service ps` does: by slot, the newest first, older ones below with ` \_ `. */
export async function printTasks(
  { client, print }: Context,
  by: Record<string, string[]>,
  o: TaskListOptions,
): Promise<void> {
  const [tasks, services, nodes] = await Promise.all([
    client.get<Task[]>("/tasks", filters(o.filter, by)),
    o.resolve ? client.get<Named[]>("/services") : [],
    o.resolve ? client.get<Named[]>("/nodes") : [],
  ]);
  const serviceNames = new Map(services.map((each) => [each.ID, each.Spec.Name ?? each.ID]));
  const nodeNames = new Map(nodes.map((each) => [each.ID, each.Description?.Hostname ?? each.ID]));
  const rows: Row[] = tasks.map((task) => {
    const name = `${serviceNames.get(task.ServiceID) ?? task.ServiceID}.${task.Slot || task.NodeID}`;
    return {
      ...task,
      name,
      shown: name,
      node: task.NodeID ? (nodeNames.get(task.NodeID) ?? task.NodeID) : "",
    };
  });
  rows.sort(
    (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }) || b.CreatedAt.localeCompare(a.CreatedAt),
  );
  const isTable = o.format === undefined || /^table(\s|$)/.test(o.format);
  if (isTable) {
    rows.forEach((row, i) => {
      if (row.name === rows[i - 1]?.name) row.shown = ` \\_ ${row.name}`;
    });
  }
  for (const line of await listing(rows, view(o), o)) print(line);
}

function view(o: ListOptions): View<Row> {
  return {
    fields: {
      ID: (it) => (o.trunc === false ? it.ID : it.ID.slice(0, 12)),
      Name: (it) => it.shown,
      Image: (it) =>
        o.trunc === false
          ? it.Spec.ContainerSpec.Image
          : it.Spec.ContainerSpec.Image.replace(/@sha256:.*/, ""),
      Node: (it) => it.node,
      DesiredState: (it) => title(it.DesiredState),
      CurrentState: (it) =>
        `${title(it.Status.State)} ${span(Date.now() - Date.parse(it.Status.Timestamp)).replace(/^[AL]/, (letter) => letter.toLowerCase())} ago`,
      Error: (it) => (it.Status.Err ? `"${shorten(it.Status.Err, 30, o)}"` : ""),
      Ports: (it) =>
        (it.Status.PortStatus?.Ports ?? [])
          .map((port) => `*:${port.PublishedPort}->${port.TargetPort}/${port.Protocol}`)
          .join(","),
    },
    headings: {
      ID: "ID",
      Name: "NAME",
      Image: "IMAGE",
      Node: "NODE",
      DesiredState: "DESIRED STATE",
      CurrentState: "CURRENT STATE",
      Error: "ERROR",
      Ports: "PORTS",
    },
    columns: ["ID", "Name", "Image", "Node", "DesiredState", "CurrentState", "Error", "Ports"],
    rigid: ["ID", "DesiredState", "CurrentState"],
  };
}
