import type { FileObject, Model, Network, Service, Volume } from "../model.ts";
import type { Node } from "../yaml/node.ts";
import { service } from "./service.ts";
import { dictOf, flag, type Keys, list, object, pairs, type Read, type Scope, text, word } from "./shape.ts";

interface Named {
  name?: string;
  external?: boolean | { name?: string };
}

/** `external: {name: N}`, as old files have it, is `external: true` with `name: N`. */
function external(node: Node, scope: Scope): boolean | { name?: string } | undefined {
  return node.kind === "dict" ? object<{ name?: string }>({ name: text })(node, scope) : flag(node, scope);
}

function named<T extends object>(keys: Keys, local: string[]): Read<T> {
  const read = object<T & Named>({ name: text, external, ...keys });
  return (node, scope) => {
    const found = read(node, scope);
    if (found === undefined) return undefined;
    if (typeof found.external === "object") {
      found.name ??= found.external.name ?? "";
      found.external = true;
    }
    const extra = found.external ? local.find((key) => key in found) : undefined;
    if (extra !== undefined)
      return scope.fail(node, `external and ${extra} conflict: what is external is there already`);
    return found;
  };
}

const WHOLE = "the cluster gives out the whole subnet";

const network = named<Network>(
  {
    driver: text,
    driver_opts: pairs(""),
    ipam: object(
      {
        driver: text,
        config: list(
          object({ subnet: text, gateway: text }, { refused: { ip_range: WHOLE, aux_addresses: WHOLE } }),
        ),
      },
      { refused: { options: "the default IPAM driver has none" } },
    ),
    internal: flag,
    attachable: flag,
    labels: pairs(""),
    enable_ipv4: flag,
    enable_ipv6: flag,
  },
  ["driver", "driver_opts", "ipam", "internal", "attachable"],
);

const volume = named<Volume>({ driver: text, driver_opts: pairs(""), labels: pairs("") }, [
  "driver",
  "driver_opts",
  "labels",
]);

const SOURCES = ["file", "environment", "content", "driver"] as const;
const readFileObject = named<FileObject>(
  {
    file: text,
    environment: text,
    content: word,
    labels: pairs(""),
    driver: text,
    driver_opts: pairs(""),
    template_driver: text,
  },
  [...SOURCES],
);

const fileObject: Read<FileObject> = (node, scope) => {
  const found = readFileObject(node, scope);
  if (found === undefined) return undefined;
  const sources = SOURCES.filter((source) => source in found);
  if (sources.length > 1) return scope.fail(node, `only one of ${sources.join(" and ")} can be given`);
  if (found.file !== undefined) found.file = scope.resolve(found.file);
  return found;
};

const version: Read<string> = (node, scope) => {
  const value = word(node, scope);
  if (value === undefined || /^(3(\.\d{1,2})?)$/.test(value)) return value;
  return scope.fail(node, `version "${value}" is not supported`, 'leave it out, or use "3.0" to "3.13"');
};

const EXTENSIONS = {
  include: "name the files with -f, one after another",
  models: "run the model as a service of its own",
};

/** A whole file, as the compose specification and version 3 of the format have it. */
export const composeFile: Read<Partial<Model>> = object<Partial<Model>>(
  {
    version,
    name: text,
    services: dictOf<Service>(service),
    networks: dictOf<Network>(network, () => ({})),
    volumes: dictOf<Volume>(volume, () => ({})),
    secrets: dictOf<FileObject>(fileObject),
    configs: dictOf<FileObject>(fileObject),
  },
  { refused: EXTENSIONS },
);
