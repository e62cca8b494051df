import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import type { Bind } from "../../program.ts";
import { list } from "../options.ts";
import { at, examples, pairs } from "../words.ts";
import { type DataKind, type DataObject, valueFrom } from "./kinds.ts";

interface CreateOptions {
  label?: string[];
  templateDriver?: string;
}

export const create = (kind: DataKind) => (command: Command, bind: Bind) => {
  command
    .argument(`<new-${kind}>`, "its name")
    .argument("<file>", "where its value is; - for standard input")
    .option("-l, --label <key=value>", "a label", list)
    .option("--template-driver <driver>", "golang: the node fills in {{.Service.Name}} and its like")
    .action(
      bind(async ({ client, print }: Context, name: string, file: string, o: CreateOptions) => {
        const { ID } = await client.post<{ ID: string }>(`/${kind}s/create`, undefined, {
          Name: name,
          Labels: pairs(o.label),
          Data: await valueFrom(file),
          ...(o.templateDriver && { Templating: { Name: o.templateDriver } }),
        });
        print(ID);
      }),
    );
  examples(
    command,
    `creel ${kind} create db-password password.txt`,
    `head -c 24 /dev/urandom | base64 | creel ${kind} create db-password -`,
    `creel ${kind} create --template-driver golang app.conf app.conf.tmpl`,
  );
};

export const update = (kind: DataKind) => (command: Command, bind: Bind) => {
  command
    .argument(`<${kind}>`)
    .option("--label-add <key=value>", "add or change a label", list)
    .option("--label-rm <key>", "remove a label", list)
    .action(
      bind(
        async ({ client, print }: Context, name: string, o: { labelAdd?: string[]; labelRm?: string[] }) => {
          const { ID, Version, Spec } = await client.get<DataObject>(at(`${kind}s`, name));
          const labels = { ...Spec.Labels, ...pairs(o.labelAdd) };
          for (const key of o.labelRm ?? []) delete labels[key];
          await client.post(
            `/${kind}s/${ID}/update`,
            { version: Version.Index },
            { ...Spec, Labels: labels },
          );
          print(name);
        },
      ),
    );
  examples(command, `creel ${kind} update --label-add team=shop db-password`);
};

export const inspect = (kind: DataKind) => (command: Command, bind: Bind) => {
  inspectOptions(command.argument(`<${kind}...>`)).action(
    bind((context: Context, names: string[], o: InspectOptions) =>
      inspectEach(context, names, o, (name) => context.client.get(at(`${kind}s`, name))),
    ),
  );
  examples(
    command,
    `creel ${kind} inspect db-password`,
    `creel ${kind} inspect -f '{{json .Spec.Labels}}' db-password`,
  );
};

export const rm = (kind: DataKind) => (command: Command, bind: Bind) => {
  command.argument(`<${kind}...>`).action(
    bind((context: Context, names: string[]) =>
      each(context, names, async (name) => {
        await context.client.delete(at(`${kind}s`, name));
        return name;
      }),
    ),
  );
  examples(command, `creel ${kind} rm db-password`);
};
