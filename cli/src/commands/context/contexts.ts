import { existsSync, readFileSync } from "node:fs";
import type { Command } from "commander";
import { type Certificates, ContextStore, DEFAULT, type StoredContext } from "../../config/contexts.ts";
import { type Context, each } from "../../context.ts";
import { invalid } from "../../invalid.ts";
import { type InspectOptions, inspectEach, inspectOptions } from "../../output/inspect.ts";
import { type ListOptions, listing, listOptions, type View } from "../../output/listing.ts";
import type { Bind } from "../../program.ts";
import { contextName, defaultAddress, parseAddress } from "../../rest/host.ts";
import { examples } from "../words.ts";

interface Row {
  name: string;
  description: string;
  host: string;
  current: boolean;
}

const view: View<Row> = {
  fields: {
    Name: (it) => it.name,
    Description: (it) => it.description,
    DockerEndpoint: (it) => it.host,
    Current: (it) => it.current,
    Error: () => "",
    // what the table shows for the one in use
    Shown: (it) => `${it.name}${it.current ? " *" : ""}`,
  },
  headings: {
    Shown: "NAME",
    Name: "NAME",
    Description: "DESCRIPTION",
    DockerEndpoint: "DOCKER ENDPOINT",
    Error: "ERROR",
  },
  columns: ["Shown", "Description", "DockerEndpoint"],
  quiet: "Name",
};

export function ls(command: Command, bind: Bind): void {
  listOptions(command, { trunc: false, quiet: "only names" }).action(
    bind(async ({ global, print }: Context, o: ListOptions) => {
      const current = contextName(global);
      const all = [plain(global), ...new ContextStore().list()];
      const rows = all.map(({ Name, Metadata, Endpoints }) => ({
        name: Name,
        description: Metadata.Description ?? "",
        host: Endpoints.docker?.Host ?? "",
        current: Name === current,
      }));
      for (const line of await listing(rows, view, o)) print(line);
    }),
  );
  examples(command, "creel context ls");
}

function plain(global: Context["global"]): StoredContext {
  return {
    Name: DEFAULT,
    Metadata: { Description: "DOCKER_HOST, or else this machine's daemon" },
    Endpoints: {
      docker: { Host: defaultAddress({ ...global, host: undefined as never }), SkipTLSVerify: false },
    },
  };
}

interface CreateOptions {
  description?: string;
  docker?: string;
  from?: string;
}

export function create(command: Command, bind: Bind): void {
  command
    .argument("<name>")
    .option("--description <text>", "what it is")
    .option("--docker <fields>", "host=…[,ca=FILE,cert=FILE,key=FILE][,skip-tls-verify=true]")
    .option("--from <context>", "a copy of another one")
    .action(
      bind(({ global, print, warn }: Context, name: string, o: CreateOptions) => {
        const store = new ContextStore();
        if (store.find(name) !== undefined) throw invalid(`context "${name}" already exists`);
        const { endpoint, tls } = endpointOf(store, global, o);
        store.save(
          {
            Name: name,
            Metadata: o.description === undefined ? {} : { Description: o.description },
            Endpoints: { docker: endpoint },
          },
          tls,
        );
        print(name);
        warn(`Successfully created context "${name}"`);
      }),
    );
  examples(
    command,
    "creel context create lab --docker host=unix:///tmp/lab/node1/creel.sock",
    "creel context create prod --docker host=tcp://10.0.0.1:2376,ca=ca.pem,cert=cert.pem,key=key.pem",
  );
}

function endpointOf(store: ContextStore, global: Context["global"], o: CreateOptions) {
  if (o.docker === undefined) {
    const name = o.from ?? contextName(global);
    if (name === DEFAULT) return { endpoint: plain(global).Endpoints.docker!, tls: {} };
    return { endpoint: store.get(name).Endpoints.docker ?? {}, tls: store.certificates(name) ?? {} };
  }
  const fields = Object.fromEntries(
    o.docker.split(",").map((field) => field.split(/=(.*)/s).slice(0, 2)),
  ) as Record<string, string | undefined>;
  const unknown = Object.keys(fields).find(
    (key) => !["host", "ca", "cert", "key", "skip-tls-verify"].includes(key),
  );
  if (unknown !== undefined) throw invalid(`unrecognized config key: ${unknown}`);
  if (!fields.host) throw invalid("--docker needs host=ADDRESS");
  parseAddress(fields.host);
  const tls: Certificates = {};
  for (const kind of ["ca", "cert", "key"] as const) {
    const path = fields[kind];
    if (path === undefined) continue;
    if (!existsSync(path)) throw invalid(`${path} does not exist`);
    tls[kind] = readFileSync(path);
  }
  return { endpoint: { Host: fields.host, SkipTLSVerify: fields["skip-tls-verify"] === "true" }, tls };
}

export function use(command: Command, bind: Bind): void {
  command.argument("<context>").action(
    bind(({ print, warn }: Context, name: string) => {
      new ContextStore().use(name);
      print(name);
      const env = ["CREEL_HOST", "DOCKER_HOST", "DOCKER_CONTEXT"].find((key) => process.env[key]);
      if (env) warn(`Warning: ${env} is set, and overrides the current context: unset it to use "${name}"`);
    }),
  );
  examples(command, "creel context use lab", "creel context use default");
}

export function show(command: Command, bind: Bind): void {
  command.action(bind(({ global, print }: Context) => print(contextName(global))));
  examples(command, "creel context show");
}

export function inspect(command: Command, bind: Bind): void {
  inspectOptions(command.argument("[context...]")).action(
    bind((context: Context, names: string[], o: InspectOptions) => {
      const store = new ContextStore();
      return inspectEach(
        context,
        names.length > 0 ? names : [contextName(context.global)],
        o,
        async (name) => {
          if (name === DEFAULT)
            return {
              ...plain(context.global),
              TLSMaterial: {},
              Storage: { MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>" },
            };
          const tls = store.certificates(name);
          return {
            ...store.get(name),
            TLSMaterial: tls ? { docker: Object.keys(tls).map((kind) => `${kind}.pem`) } : {},
            Storage: { MetadataPath: store.metaPath(name), TLSPath: store.tlsPath(name) },
          };
        },
      );
    }),
  );
  examples(command, "creel context inspect lab");
}

export function rm(command: Command, bind: Bind): void {
  command
    .argument("<context...>")
    .option("-f, --force", "also the one in use")
    .action(
      bind((context: Context, names: string[], o: { force?: boolean }) =>
        each(context, names, async (name) => {
          const store = new ContextStore();
          if (name === DEFAULT) throw invalid(`context "${DEFAULT}" cannot be removed`);
          store.get(name);
          if (store.current() === name) {
            if (!o.force) throw invalid(`context "${name}" is in use: use another one first, or --force`);
            store.use(DEFAULT);
          }
          store.remove(name);
          return name;
        }),
      ),
    );
  examples(command, "creel context rm lab");
}
