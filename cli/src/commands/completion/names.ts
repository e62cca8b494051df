import type { Command } from "commander";
import { NAMESPACE } from "../../compose/convert/specs.ts";
import { ContextStore, DEFAULT } from "../../config/contexts.ts";
import type { Context } from "../../context.ts";
import type { Candidate } from "./candidates.ts";

/** A shell waits for this: a daemon that does not answer at once has no names to offer. */
const PATIENCE_MS = 1000;

type Find = (context: Context, command: Command) => Promise<Candidate[]>;

/** Verbs for which only containers in these states make sense. */
const STATES: Record<string, string[]> = {
  attach: ["running"],
  exec: ["running"],
  kill: ["running", "paused"],
  pause: ["running"],
  stop: ["running", "paused", "restarting"],
  unpause: ["paused"],
  start: ["created", "exited"],
  stats: ["running", "paused"],
  top: ["running", "paused"],
};

const containers: Find = async ({ client }, command) => {
  const states = STATES[command.name()];
  const filters = states && JSON.stringify({ status: states });
  const found = await client.get<{ Names: string[]; Image: string }[]>("/containers/json", {
    all: true,
    filters,
  });
  return found.flatMap(({ Names, Image }) =>
    Names.map((name): Candidate => [name.replace(/^\//, ""), Image]),
  );
};
const places: Find = async (context, command) =>
  (await containers(context, command)).map(([name, image]): Candidate => [`${name}:`, image]);
const images: Find = async ({ client }) => {
  const found = await client.get<{ RepoTags: string[] | null }[]>("/images/json");
  return found.flatMap(({ RepoTags }) => (RepoTags ?? []).map((name): Candidate => [name, ""]));
};
const networks: Find = async ({ client }) =>
  (await client.get<{ Name: string; Driver: string }[]>("/networks")).map(({ Name, Driver }) => [
    Name,
    Driver,
  ]);
const volumes: Find = async ({ client }) =>
  ((await client.get<{ Volumes: { Name: string }[] | null }>("/volumes")).Volumes ?? []).map(({ Name }) => [
    Name,
    "",
  ]);
const nodes: Find = async ({ client }) =>
  (await client.get<{ Description: { Hostname: string }; Spec: { Role: string } }[]>("/nodes")).map(
    (node) => [node.Description.Hostname, node.Spec.Role],
  );
const services: Find = async ({ client }) =>
  (await client.get<ServiceName[]>("/services")).map(({ Spec }) => [
    Spec.Name,
    Spec.TaskTemplate.ContainerSpec.Image,
  ]);
const stacks: Find = async ({ client }) => {
  const filters = JSON.stringify({ label: [NAMESPACE] });
  const found = await client.get<{ Spec: { Labels: Record<string, string> } }[]>("/services", { filters });
  return [...new Set(found.map(({ Spec }) => Spec.Labels[NAMESPACE]!))].map((name): Candidate => [name, ""]);
};
const data =
  (kind: "secrets" | "configs"): Find =>
  async ({ client }) =>
    (await client.get<{ Spec: { Name: string } }[]>(`/${kind}`)).map(({ Spec }) => [Spec.Name, ""]);
const scaled: Find = async ({ client }) =>
  (await client.get<ServiceName[]>("/services")).map(({ Spec }) => [`${Spec.Name}=`, ""]);
const tasks: Find = async ({ client }) => {
  type Found = { ID: string; ServiceID: string; Slot?: number; Status: { State: string } };
  const filters = JSON.stringify({ "desired-state": ["running", "ready"] });
  const [all, owners] = await Promise.all([
    client.get<Found[]>("/tasks", { filters }),
    client.get<(ServiceName & { ID: string })[]>("/services"),
  ]);
  const names = new Map(owners.map(({ ID, Spec }) => [ID, Spec.Name]));
  return all.map(({ ID, ServiceID, Slot, Status }) => [
    Slot ? `${names.get(ServiceID)}.${Slot}` : ID,
    Status.State,
  ]);
};
interface ServiceName {
  Spec: { Name: string; TaskTemplate: { ContainerSpec: { Image: string } } };
}
const contexts: Find = async () => [
  [DEFAULT, "this machine's daemon"],
  ...new ContextStore().list().map((each): Candidate => [each.Name, each.Metadata.Description ?? ""]),
];

/** What `creel inspect` shows. */
const ANYTHING = [
  ...[containers, images, networks, volumes, nodes],
  ...[services, tasks, data("secrets"), data("configs")],
];

/** By the name of an argument or of an option. */
const KINDS: Record<string, Find> = {
  container: containers,
  from: places,
  to: places,
  image: images,
  source: images,
  network: networks,
  "network-add": networks,
  "network-rm": networks,
  volume: volumes,
  node: nodes,
  service: services,
  stack: stacks,
  project: stacks,
  task: tasks,
  "service|task": services,
  "service=replicas": scaled,
  secret: data("secrets"),
  "secret-add": data("secrets"),
  "secret-rm": data("secrets"),
  config: data("configs"),
  "config-add": data("configs"),
  "config-rm": data("configs"),
  context: contexts,
  name: async (context, command) => {
    const all = await Promise.allSettled(
      command.name() === "inspect" ? ANYTHING.map((find) => find(context, command)) : [],
    );
    return all.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
  },
  "worker|manager": async () => [
    ["worker", ""],
    ["manager", ""],
  ],
};

/** Names that exist, for an argument or option of that name. */
export async function namesFor(context: Context, what: string, command: Command): Promise<Candidate[]> {
  const find = Object.hasOwn(KINDS, what) ? KINDS[what] : undefined;
  if (find === undefined) return [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Candidate[]>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, []);
  });
  return await Promise.race([find(context, command).catch(() => []), late]).finally(() =>
    clearTimeout(timer),
  );
}
