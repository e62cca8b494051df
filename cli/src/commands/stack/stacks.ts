import type { Command } from "commander";
import { NAMESPACE } from "../../compose/convert/specs.ts";
import type { Context } from "../../context.ts";
import { type ListOptions, listing, listOptions } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { serviceView } from "../service/list.ts";
import { printTasks, type TaskListOptions, taskListOptions } from "../service/tasks.ts";
import type { Service } from "../service/types.ts";
import { examples, filterOption, filters } from "../words.ts";
import { checkedName, files, load } from "./files.ts";

export function config(command: Command, bind: Bind): void {
  command
    .requiredOption(
      "-c, --compose-file <path>",
      "a compose file, several one over the other; - is standard input",
      files,
    )
    .option("--skip-interpolation", "leave $NAME as it is")
    .action(
      bind(async (context: Context, o: { composeFile: string[]; skipInterpolation?: boolean }) => {
        const { model } = load(context, { file: o.composeFile, raw: o.skipInterpolation ?? false });
        const { render } = await import("../../compose/render.ts");
        process.stdout.write(render(model, o.skipInterpolation ?? false));
      }),
    );
  examples(command, "creel stack config -c compose.yaml -c production.yaml");
}

export function ls(command: Command, bind: Bind): void {
  command.option("--format <format>", "table, table TEMPLATE, json, or a Go template for each").action(
    bind(async ({ client, print }: Context, o: ListOptions) => {
      const services = await client.get<Service[]>("/services", {
        filters: JSON.stringify({ label: [NAMESPACE] }),
      });
      const counts = new Map<string, number>();
      for (const { Spec } of services) {
        const name = Spec.Labels?.[NAMESPACE] ?? "";
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      const stacks = [...counts].sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
      const lines = await listing(
        stacks,
        {
          fields: { Name: ([name]) => name, Services: ([, count]) => count },
          headings: { Name: "NAME", Services: "SERVICES" },
          columns: ["Name", "Services"],
          quiet: "Name",
        },
        o,
      );
      for (const line of lines) print(line);
    }),
  );
  examples(command, "creel stack ls", "creel stack ls --format json");
}

export function services(command: Command, bind: Bind): void {
  listOptions(filterOption(command.argument("<stack>"), "id, label, mode, name")).action(
    bind(async ({ client, print, warn }: Context, name: string, o: ListOptions & { filter?: string[] }) => {
      const found = await client.get<Service[]>("/services", {
        status: true,
        ...filters(inStack(checkedName(name), o.filter)),
      });
      if (found.length === 0) return warn(`Nothing found in stack: ${name}`);
      found.sort((a, b) => a.Spec.Name.localeCompare(b.Spec.Name, "en", { numeric: true }));
      for (const line of await listing(found, serviceView(o), o)) print(line);
    }),
  );
  examples(
    command,
    "creel stack services shop",
    "creel stack services --format '{{.Name}} {{.Replicas}}' shop",
  );
}

export function ps(command: Command, bind: Bind): void {
  taskListOptions(command.argument("<stack>")).action(
    bind(async (context: Context, name: string, o: TaskListOptions) => {
      const filter = inStack(checkedName(name), o.filter);
      await printTasks(context, {}, { ...o, filter });
    }),
  );
  examples(command, "creel stack ps shop", "creel stack ps --filter desired-state=running shop");
}

const inStack = (name: string, more: string[] = []) => [...more, `label=${NAMESPACE}=${name}`];
