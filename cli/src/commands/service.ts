import type { Command } from "commander";
import { type Context, Exit, each, environment, filters, pairs } from "../context.ts";
import { table } from "../output/table.ts";
import type { Bind } from "../program.ts";
import { demultiplex } from "../rest/frames.ts";
import { converge } from "./converge.ts";
import { cpus, duration, list, type Port, port, size, whole } from "./options.ts";
import { printTasks } from "./tasks.ts";

interface PortConfig {
  Protocol: string;
  TargetPort: number;
  PublishedPort?: number;
  PublishMode?: string;
}
interface ServiceSpec {
  Name: string;
  Labels?: Record<string, string>;
  TaskTemplate: {
    ContainerSpec: { Image: string; Env?: string[]; Args?: string[]; Command?: string[] };
    ForceUpdate?: number;
    [key: string]: unknown;
  };
  Mode: { Replicated?: { Replicas: number }; Global?: object };
  EndpointSpec?: { Mode?: string; Ports?: PortConfig[] };
  [key: string]: unknown;
}
interface Service {
  ID: string;
  Version: { Index: number };
  Spec: ServiceSpec;
  Endpoint: { Ports?: PortConfig[] };
  ServiceStatus?: { RunningTasks: number; DesiredTasks: number };
}
interface SpecOptions {
  name?: string;
  replicas?: number;
  mode?: string;
  publish?: Port[];
  env?: string[];
  label?: string[];
  containerLabel?: string[];
  constraint?: string[];
  network?: string[];
  hostname?: string;
  workdir?: string;
  user?: string;
  entrypoint?: string;
  limitCpu?: number;
  limitMemory?: number;
  limitPids?: number;
  reserveCpu?: number;
  reserveMemory?: number;
  restartCondition?: string;
  restartDelay?: number;
  restartMaxAttempts?: number;
  endpointMode?: string;
  stopGracePeriod?: number;
  updateParallelism?: number;
  updateDelay?: number;
  updateOrder?: string;
  detach?: boolean;
  quiet?: boolean;
  image?: string;
  args?: string;
  force?: boolean;
  rollback?: boolean;
}

/** `creel service …` */
export function serviceCommands(program: Command, bind: Bind): void {
  const service = program.command("service").description("services: replicas kept running over the cluster");
  specOptions(service.command("create"))
    .description("make a service")
    .argument("<image>")
    .argument("[command...]")
    .passThroughOptions()
    .option("--name <name>", "its name")
    .option("--mode <mode>", "replicated or global", "replicated")
    .action(bind(create));
  specOptions(service.command("update"))
    .description("change a service")
    .argument("<service>")
    .option("--image <image>", "another image")
    .option("--args <words>", "other arguments of the command")
    .option("--force", "make all tasks anew")
    .option("--rollback", "back to the spec before")
    .action(bind(update));
  detachOptions(service.command("scale"))
    .description("set how many replicas run")
    .argument("<service=replicas...>")
    .action(bind(scale));
  detachOptions(service.command("rollback"))
    .description("back to the spec before")
    .argument("<service>")
    .action(
      bind((context: Context, name: string, o: SpecOptions) =>
        update(context, name, { ...o, rollback: true }),
      ),
    );
  service
    .command("ls")
    .description("list services")
    .option("-q, --quiet", "only ids")
    .option("-f, --filter <filter>", "id, label, mode, name", list)
    .action(bind(ls));
  service
    .command("ps")
    .description("list the tasks of services")
    .argument("<service...>")
    .option("-q, --quiet", "only ids")
    .option("--no-trunc", "whole ids")
    .action(
      bind(async (context: Context, names: string[], o: { quiet?: boolean; trunc: boolean }) => {
        const ids = await Promise.all(names.map(async (name) => (await find(context, name)).ID));
        await printTasks(context, { service: ids }, o);
      }),
    );
  service
    .command("inspect")
    .description("all that is known of services, as JSON")
    .argument("<service...>")
    .action(
      bind(async (context: Context, names: string[]) => {
        const found: Service[] = [];
        for (const name of names) found.push(await find(context, name));
        context.print(JSON.stringify(found, undefined, 4));
      }),
    );
  service
    .command("rm")
    .description("remove services")
    .argument("<service...>")
    .action(
      bind((context: Context, names: string[]) =>
        each(context, names, async (name) => {
          await context.client.delete(`/services/${encodeURIComponent(name)}`);
          return name;
        }),
      ),
    );
  service
    .command("logs")
    .description("what a service's (or one task's) containers wrote")
    .argument("<service|task>")
    .option("-f, --follow", "go on as more is written")
    .option("-t, --timestamps", "with the time of each line")
    .option("-n, --tail <lines>", "only the last lines of each task", "all")
    .option("--since <time>", "only what was written from then on")
    .action(bind(logs));
}

function detachOptions(command: Command): Command {
  return command
    .option("-d, --detach", "do not wait until the tasks are as wanted")
    .option("-q, --quiet", "no progress");
}

function specOptions(command: Command): Command {
  return detachOptions(command)
    .option("--replicas <n>", "how many tasks", whole)
    .option(
      "-p, --publish <port>",
      "publish a port on every node: [PUBLISHED:]TARGET[/PROTOCOL]",
      (text, before: Port[] | undefined) => [...(before ?? []), port(text)],
    )
    .option("-e, --env <name=value>", "an environment variable", list)
    .option("-l, --label <key=value>", "a label of the service", list)
    .option("--container-label <key=value>", "a label of its containers", list)
    .option("--constraint <expression>", "only on nodes that match (node.role==worker)", list)
    .option("--network <network>", "an overlay network", list)
    .option("--hostname <name>", "the containers' hostname")
    .option("-w, --workdir <dir>", "the working directory")
    .option("-u, --user <user>", "user or id, with an optional group")
    .option("--entrypoint <command>", "instead of the image's")
    .option("--limit-cpu <cores>", "at most so many cores", cpus)
    .option("--limit-memory <bytes>", "at most so much memory", size)
    .option("--limit-pids <n>", "at most so many processes", whole)
    .option("--reserve-cpu <cores>", "only on a node with so many cores free", cpus)
    .option("--reserve-memory <bytes>", "only on a node with so much memory free", size)
    .option("--restart-condition <when>", "none, on-failure or any")
    .option("--restart-delay <duration>", "before a task is started again", duration)
    .option("--restart-max-attempts <n>", "how often", whole)
    .option("--endpoint-mode <mode>", "vip or dnsrr")
    .option("--stop-grace-period <duration>", "between the stop signal and the end", duration)
    .option("--update-parallelism <n>", "tasks changed at once (0: all)", whole)
    .option("--update-delay <duration>", "between them", duration)
    .option("--update-order <order>", "stop-first or start-first");
}

/** Writes what was asked for into a spec; what was not asked for stays. */
function apply(spec: ServiceSpec, o: SpecOptions, networks: string[] | undefined): ServiceSpec {
  const container: Record<string, unknown> = { ...spec.TaskTemplate.ContainerSpec };
  const task: Record<string, unknown> = { ...spec.TaskTemplate };
  const set = (target: Record<string, unknown>, key: string, value: unknown) => {
    if (value !== undefined) target[key] = value;
  };
  set(container, "Image", o.image);
  set(container, "Env", environment(o.env));
  set(container, "Labels", o.containerLabel && pairs(o.containerLabel));
  set(container, "Hostname", o.hostname);
  set(container, "Dir", o.workdir);
  set(container, "User", o.user);
  set(container, "Command", o.entrypoint?.split(" "));
  set(
    container,
    "Args",
    o.args?.split(" ").filter((word) => word !== ""),
  );
  set(container, "StopGracePeriod", o.stopGracePeriod);
  const kept = (spec.TaskTemplate.Resources ?? {}) as { Limits?: object; Reservations?: object };
  const limits = { NanoCPUs: o.limitCpu, MemoryBytes: o.limitMemory, Pids: o.limitPids };
  const reservations = { NanoCPUs: o.reserveCpu, MemoryBytes: o.reserveMemory };
  if (some(limits) || some(reservations)) {
    task.Resources = {
      Limits: { ...kept.Limits, ...defined(limits) },
      Reservations: { ...kept.Reservations, ...defined(reservations) },
    };
  }
  const restart = { Condition: o.restartCondition, Delay: o.restartDelay, MaxAttempts: o.restartMaxAttempts };
  if (some(restart))
    task.RestartPolicy = { ...(spec.TaskTemplate.RestartPolicy as object), ...defined(restart) };
  if (o.constraint !== undefined)
    task.Placement = { ...(spec.TaskTemplate.Placement as object), Constraints: o.constraint };
  if (networks !== undefined) task.Networks = networks.map((Target) => ({ Target }));
  if (o.force) task.ForceUpdate = (spec.TaskTemplate.ForceUpdate ?? 0) + 1;
  task.ContainerSpec = container;
  const result: ServiceSpec = { ...spec, TaskTemplate: task as ServiceSpec["TaskTemplate"] };
  set(result, "Labels", o.label && { ...spec.Labels, ...pairs(o.label) });
  if (o.replicas !== undefined) {
    if (spec.Mode.Global) throw new Error("replicas can only be used with replicated mode");
    result.Mode = { Replicated: { Replicas: o.replicas } };
  }
  const roll = { Parallelism: o.updateParallelism, Delay: o.updateDelay, Order: o.updateOrder };
  if (some(roll)) result.UpdateConfig = { ...(spec.UpdateConfig as object), ...defined(roll) };
  if (o.publish !== undefined || o.endpointMode !== undefined) {
    const ports = o.publish?.map(({ protocol, target, published, mode }) => ({
      Protocol: protocol,
      TargetPort: target,
      ...(published > 0 && { PublishedPort: published }),
      PublishMode: mode,
    }));
    result.EndpointSpec = {
      ...spec.EndpointSpec,
      ...(ports && { Ports: ports }),
      ...(o.endpointMode && { Mode: o.endpointMode }),
    };
  }
  return result;
}

const some = (fields: object) => Object.values(fields).some((value) => value !== undefined);
const defined = (fields: object) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

async function create(context: Context, image: string, command: string[], o: SpecOptions): Promise<void> {
  const mode = o.mode === "global" ? { Global: {} } : { Replicated: { Replicas: o.replicas ?? 1 } };
  if (o.mode !== "global" && o.mode !== "replicated")
    throw new Error(`unknown mode ${o.mode}: replicated or global`);
  const bare: ServiceSpec = {
    Name: o.name ?? "",
    TaskTemplate: { ContainerSpec: { Image: image, ...(command.length > 0 && { Args: command }) } },
    Mode: mode,
  };
  const networks = await networkIds(context, o.network);
  const { ID, Warnings } = await context.client.post<{ ID: string; Warnings?: string[] | null }>(
    "/services/create",
    undefined,
    apply(bare, o, networks),
  );
  for (const warning of Warnings ?? []) context.warn(warning);
  context.print(ID);
  await wait(context, ID, o);
}

async function update(context: Context, name: string, o: SpecOptions): Promise<void> {
  const service = await find(context, name);
  const networks = await networkIds(context, o.network);
  const spec = o.rollback ? service.Spec : apply(service.Spec, o, networks);
  const query = { version: service.Version.Index, ...(o.rollback && { rollback: "previous" }) };
  await context.client.post(`/services/${service.ID}/update`, query, spec);
  context.print(name);
  await wait(context, service.ID, o);
}

async function scale(context: Context, words: string[], o: SpecOptions): Promise<void> {
  const ids: string[] = [];
  for (const word of words) {
    const split = word.lastIndexOf("=");
    if (split < 1) throw new Error(`invalid scale specifier '${word}': SERVICE=REPLICAS`);
    const [name, replicas] = [word.slice(0, split), whole(word.slice(split + 1))];
    const service = await find(context, name);
    const spec = apply(service.Spec, { replicas }, undefined);
    await context.client.post(`/services/${service.ID}/update`, { version: service.Version.Index }, spec);
    context.print(`${name} scaled to ${replicas}`);
    ids.push(service.ID);
  }
  for (const id of ids) await wait(context, id, o);
}

async function wait(context: Context, id: string, o: SpecOptions): Promise<void> {
  if (o.detach) return;
  const cause = await converge(context, id, o.quiet ?? false);
  if (cause === undefined) return;
  context.warn(cause);
  throw new Exit(1);
}

async function ls({ client, print }: Context, o: { quiet?: boolean; filter?: string[] }): Promise<void> {
  const services = await client.get<Service[]>("/services", { status: true, ...filters(o.filter) });
  services.sort((a, b) => (a.Spec.Name < b.Spec.Name ? -1 : 1));
  if (o.quiet) {
    for (const service of services) print(service.ID.slice(0, 12));
    return;
  }
  const rows = services.map((service) => {
    const status = service.ServiceStatus;
    const ports = (service.Endpoint.Ports ?? []).map(
      (p) => `*:${p.PublishedPort}->${p.TargetPort}/${p.Protocol}`,
    );
    const mode = service.Spec.Mode.Global ? "global" : "replicated";
    const replicas = `${status?.RunningTasks ?? 0}/${status?.DesiredTasks ?? 0}`;
    return [
      service.ID.slice(0, 12),
      service.Spec.Name,
      mode,
      replicas,
      service.Spec.TaskTemplate.ContainerSpec.Image,
      ports.join(", "),
    ];
  });
  print(table([["ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"], ...rows]));
}

async function logs(
  { client }: Context,
  name: string,
  o: { follow?: boolean; timestamps?: boolean; tail: string; since?: string },
): Promise<void> {
  const query = {
    stdout: true,
    stderr: true,
    follow: o.follow,
    timestamps: o.timestamps,
    tail: o.tail,
    since: o.since,
  };
  const path = `/services/${encodeURIComponent(name)}/logs`;
  const stream = await client.stream("GET", path, query).catch((error: unknown) => {
    if ((error as { status?: number }).status === 404)
      return client.stream("GET", `/tasks/${encodeURIComponent(name)}/logs`, query);
    throw error;
  });
  await demultiplex(stream, process.stdout, process.stderr);
}

async function find({ client }: Context, name: string): Promise<Service> {
  return await client.get<Service>(`/services/${encodeURIComponent(name)}`);
}

async function networkIds({ client }: Context, names: string[] | undefined): Promise<string[] | undefined> {
  if (names === undefined) return undefined;
  return await Promise.all(
    names.map(async (name) => (await client.get<{ Id: string }>(`/networks/${encodeURIComponent(name)}`)).Id),
  );
}
