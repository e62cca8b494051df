import type { Command } from "commander";
import { type Context, each } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import type { Bind } from "../../program.ts";
import { at, examples } from "../words.ts";
import { apply, type FindId } from "./spec.ts";
import { changeOptions, createOptions, type SpecOptions, specOptions } from "./spec-options.ts";
import { printTasks, type TaskListOptions, taskListOptions } from "./tasks.ts";
import type { Service, ServiceSpec } from "./types.ts";
import { type WaitOptions, waitFor, waitOptions } from "./wait.ts";

type Options = SpecOptions & WaitOptions & { rollback?: boolean };

export function create(command: Command, bind: Bind): void {
  waitOptions(specOptions(createOptions(command)))
    .argument("<image>")
    .argument("[command...]")
    .passThroughOptions()
    .action(bind(make));
  examples(
    command,
    "creel service create --name web --replicas 3 -p 8080:8080 whoami",
    "creel service create --name db --mount type=volume,source=data,target=/data --constraint node.labels.disk==ssd db:1",
    "creel service create --mode global --name agent agent:1",
  );
}

async function make(context: Context, image: string, words: string[], o: Options): Promise<void> {
  const bare: ServiceSpec = {
    Name: o.name ?? "",
    TaskTemplate: { ContainerSpec: { Image: image, ...(words.length > 0 && { Args: words }) } },
    Mode: newMode(o),
  };
  const given = o.mode === "replicated" || o.mode === undefined ? o : { ...o, replicas: undefined };
  const spec = await apply(bare, given as SpecOptions, finder(context));
  type Made = { ID: string; Warnings?: string[] | null };
  const { ID, Warnings } = await context.client.post<Made>("/services/create", undefined, spec);
  for (const warning of Warnings ?? []) context.warn(warning);
  context.print(ID);
  await waitFor(context, [ID], o);
}

function newMode(o: Options): ServiceSpec["Mode"] {
  if (o.mode?.startsWith("global") && o.replicas !== undefined)
    throw invalid("replicas can only be used with replicated or replicated-job mode");
  if (o.mode === "global") return { Global: {} };
  if (o.mode === "global-job") return { GlobalJob: {} };
  if (o.mode !== "replicated-job") return { Replicated: { Replicas: o.replicas ?? 1 } };
  const total = o.replicas ?? 1;
  return { ReplicatedJob: { MaxConcurrent: o.maxConcurrent ?? total, TotalCompletions: total } };
}

export function update(command: Command, bind: Bind): void {
  waitOptions(changeOptions(specOptions(command)))
    .argument("<service>")
    .action(bind(change));
  examples(
    command,
    "creel service update --image whoami:2 web",
    "creel service update --env-add LEVEL=debug --publish-add 8081:8080 web",
    "creel service update --force --update-parallelism 2 web",
  );
}

async function change(context: Context, name: string, o: Options): Promise<void> {
  const service = await find(context, name);
  if (o.rollback) return back(context, name, o, service);
  const spec = await apply(service.Spec, o, finder(context));
  await send(context, service, spec);
  context.print(name);
  await waitFor(context, [service.ID], o);
}

export function rollback(command: Command, bind: Bind): void {
  waitOptions(command.argument("<service>")).action(
    bind(async (context: Context, name: string, o: Options) =>
      back(context, name, o, await find(context, name)),
    ),
  );
  examples(command, "creel service rollback web");
}

async function back(context: Context, name: string, o: Options, service: Service): Promise<void> {
  await send(context, service, service.Spec, { rollback: "previous" });
  context.print(name);
  await waitFor(context, [service.ID], { ...o, rollback: true });
}

export function scale(command: Command, bind: Bind): void {
  waitOptions(command.argument("<service=replicas...>")).action(
    bind(async (context: Context, words: string[], o: Options) => {
      const wanted = words.map((word) => {
        const [, name, replicas] = /^(.+)=(\d+)$/.exec(word) ?? [];
        if (name === undefined) throw invalid(`invalid scale specifier '${word}': SERVICE=REPLICAS`);
        return { name, replicas: Number(replicas) };
      });
      const ids: string[] = [];
      await each(
        context,
        wanted.map(({ name }) => name),
        async (name) => {
          const { replicas } = wanted.find((one) => one.name === name)!;
          const service = await find(context, name);
          if (!service.Spec.Mode.Replicated && !service.Spec.Mode.ReplicatedJob)
            throw invalid(`${name}: scale can only be used with replicated or replicated-job mode`);
          await send(context, service, await apply(service.Spec, { replicas, healthcheck: true }, never));
          ids.push(service.ID);
          return `${name} scaled to ${replicas}`;
        },
      );
      await waitFor(context, ids, o);
    }),
  );
  examples(command, "creel service scale web=6", "creel service scale -d web=6 api=3");
}

const never = () => Promise.reject(invalid("no network is changed by scaling"));

export function ps(command: Command, bind: Bind): void {
  taskListOptions(command.argument("<service...>")).action(
    bind(async (context: Context, names: string[], o: TaskListOptions) => {
      const ids = await Promise.all(names.map(async (name) => (await find(context, name)).ID));
      await printTasks(context, { service: ids }, o);
    }),
  );
  examples(command, "creel service ps web", "creel service ps --filter desired-state=running --no-trunc web");
}

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("<service...>")).action(
    bind((context: Context, names: string[], o: InspectOptions) =>
      inspectEach(context, names, o, (name) => find(context, name)),
    ),
  );
  examples(command, "creel service inspect web", "creel service inspect -f '{{json .Spec.Mode}}' web");
}

export function rm(command: Command, bind: Bind): void {
  command.argument("<service...>").action(
    bind((context: Context, names: string[]) =>
      each(context, names, async (name) => {
        await context.client.delete(at("services", name));
        return name;
      }),
    ),
  );
  examples(command, "creel service rm web");
}

async function find({ client }: Context, name: string): Promise<Service> {
  return await client.get<Service>(at("services", name));
}

async function send(context: Context, service: Service, spec: ServiceSpec, more = {}): Promise<void> {
  const query = { version: service.Version.Index, ...more };
  const reply = await context.client.post<{ Warnings?: string[] | null } | undefined>(
    `/services/${service.ID}/update`,
    query,
    spec,
  );
  for (const warning of reply?.Warnings ?? []) context.warn(warning);
}

function finder({ client }: Context): FindId {
  return async (kind, name) => {
    const found = await client.get<{ Id?: string; ID?: string }>(at(kind, name));
    return (found.Id ?? found.ID)!;
  };
}
