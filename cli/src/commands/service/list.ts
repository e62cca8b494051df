import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, labelFields, listing, listOptions, type View } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { examples, filterOption, filters } from "../words.ts";
import { modeOf, type Service } from "./types.ts";

export function ls(command: Command, bind: Bind): void {
  listOptions(filterOption(command, "id, label, mode, name")).action(
    bind(async ({ client, print }: Context, o: ListOptions & { filter?: string[] }) => {
      const services = await client.get<Service[]>("/services", { status: true, ...filters(o.filter) });
      services.sort((a, b) => a.Spec.Name.localeCompare(b.Spec.Name, "en", { numeric: true }));
      for (const line of await listing(services, serviceView(o), o)) print(line);
    }),
  );
  examples(command, "creel service ls", "creel service ls --format '{{.Name}} {{.Replicas}}'");
}

/** How services are listed. */
export function serviceView(o: ListOptions): View<Service> {
  return {
    fields: {
      ID: (it) => (o.trunc === false ? it.ID : it.ID.slice(0, 12)),
      Name: (it) => it.Spec.Name,
      Mode: (it) => modeOf(it.Spec),
      Replicas: replicas,
      Image: (it) => {
        const image = it.Spec.TaskTemplate.ContainerSpec.Image;
        return o.trunc === false ? image : image.replace(/@sha256:.*/, "");
      },
      Ports: (it) =>
        (it.Endpoint.Ports ?? [])
          .map((port) => `*:${port.PublishedPort}->${port.TargetPort}/${port.Protocol}`)
          .join(", "),
      ...labelFields<Service>((it) => it.Spec.Labels),
    },
    headings: { ID: "ID", Name: "NAME", Mode: "MODE", Replicas: "REPLICAS", Image: "IMAGE", Ports: "PORTS" },
    columns: ["ID", "Name", "Mode", "Replicas", "Image", "Ports"],
    rigid: ["ID", "Mode", "Replicas"],
  };
}

function replicas(it: Service): string {
  const {
    RunningTasks: running = 0,
    DesiredTasks: desired = 0,
    CompletedTasks: done = 0,
  } = it.ServiceStatus ?? {};
  const job = it.Spec.Mode.ReplicatedJob;
  if (job) return `${running}/${desired} (${done}/${job.TotalCompletions ?? desired} completed)`;
  return `${running}/${desired}`;
}
