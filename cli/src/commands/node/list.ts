import type { Command } from "commander";
import type { Context } from "../../context.ts";
import { type ListOptions, listing, listOptions, type View } from "../../output/listing.ts";
import { title } from "../../output/words.ts";
import type { Bind } from "../../program.ts";
import { examples, filterOption, filters } from "../words.ts";
import { type Node, selfId } from "./find.ts";

export function ls(command: Command, bind: Bind): void {
  listOptions(filterOption(command, "id, label, membership, name, node.label, role"), {
    trunc: false,
  }).action(
    bind(async (context: Context, o: ListOptions & { filter?: string[] }) => {
      const [nodes, self] = await Promise.all([
        context.client.get<Node[]>("/nodes", filters(o.filter)),
        selfId(context),
      ]);
      nodes.sort((a, b) =>
        a.Description.Hostname.localeCompare(b.Description.Hostname, "en", { numeric: true }),
      );
      const isTable = o.format === undefined || o.format === "table";
      for (const line of await listing(nodes, view(self, isTable && !o.quiet), { ...o })) context.print(line);
    }),
  );
  examples(
    command,
    "creel node ls",
    "creel node ls --filter role=manager --format '{{.Hostname}} {{.ManagerStatus}}'",
  );
}

function view(self: string, marked: boolean): View<Node> {
  return {
    fields: {
      ID: (it) => `${it.ID}${marked && it.ID === self ? " *" : ""}`,
      Self: (it) => it.ID === self,
      Hostname: (it) => it.Description.Hostname,
      Status: (it) => title(it.Status.State),
      Availability: (it) => title(it.Spec.Availability),
      ManagerStatus: (it) =>
        it.ManagerStatus ? (it.ManagerStatus.Leader ? "Leader" : title(it.ManagerStatus.Reachability)) : "",
      TLSStatus: (it) => (it.Description.TLSInfo ? "Ready" : "Unknown"),
      EngineVersion: (it) => it.Description.Engine.EngineVersion,
    },
    headings: {
      ID: "ID",
      Hostname: "HOSTNAME",
      Status: "STATUS",
      Availability: "AVAILABILITY",
      ManagerStatus: "MANAGER STATUS",
      TLSStatus: "TLS STATUS",
      EngineVersion: "ENGINE VERSION",
    },
    columns: ["ID", "Hostname", "Status", "Availability", "ManagerStatus", "EngineVersion"],
    rigid: ["ID", "Status", "Availability", "ManagerStatus"],
  };
}
