import { basename, dirname, resolve } from "node:path";
import { checkModel } from "./check.ts";
import { type Contents, readContents } from "./contents.ts";
import { parseEnvFile } from "./env-file.ts";
import { resolveExtends, type ServiceFile } from "./extends.ts";
import { mergeModels, without } from "./merge.ts";
import type { Model, Service } from "./model.ts";
import { type Place, Problems } from "./problems.ts";
import { composeFile } from "./read/file.ts";
import { IGNORED } from "./read/service.ts";
import { Scope } from "./read/shape.ts";
import { reason, type Surroundings } from "./surroundings.ts";
import { type Lookup, substitute } from "./variables.ts";
import { parseYaml } from "./yaml/parse.ts";
import { takeTags } from "./yaml/tags.ts";

const MAX_FILES = 100;

export interface LoadOptions {
  /** Leave `$NAME` as it is. */
  raw?: boolean;
  /** Profiles whose services are wanted, too. */
  profiles?: string[];
}

/** A stack as its files say it. */
export interface Loaded {
  model: Model;
  /** The data of its secrets and configs. */
  contents: Contents;
  /** The folder of the first file. */
  folder: string;
  /** What is worth a word though it is not wrong. */
  notes: string[];
}

/** Reads a stack's files, one over the other. Throws one error that names all that is wrong, by file, line and key. */
export function loadStack(paths: string[], from: Surroundings, o: LoadOptions = {}): Loaded {
  const loader = new Loader(paths, from, o);
  return loader.load(paths);
}

interface OneFile extends ServiceFile {
  model: Partial<Model>;
  cleared: string[][];
}

class Loader {
  readonly #problems = new Problems();
  readonly #from: Surroundings;
  readonly #o: LoadOptions;
  readonly #folder: string;
  readonly #lookup: Lookup;
  readonly #open = new Map<string, OneFile | undefined>();

  constructor(paths: string[], from: Surroundings, o: LoadOptions) {
    const first = paths[0] ?? "compose.yaml";
    this.#from = from;
    this.#o = o;
    this.#folder = first === "-" ? from.folder : dirname(resolve(from.folder, first));
    const dotEnv = this.#dotEnv();
    this.#lookup = (name) => from.env[name] ?? dotEnv.get(name) ?? undefined;
  }

  load(paths: string[]): Loaded {
    let model: Partial<Model> = {};
    const places = new Map<string, Place>();
    for (const path of paths) {
      const file = this.#file(path, this.#folder, undefined);
      if (file === undefined) continue;
      const services = resolveExtends(file, (other, place) => this.#extended(other, place), this.#problems);
      for (const path of file.cleared) model = without(model, path);
      model = mergeModels(model, { ...file.model, services });
      for (const [key, place] of file.places) places.set(key, place);
    }
    this.#problems.throwIfAny();
    const whole = this.#settled(model);
    checkModel(whole, places, this.#problems);
    const contents = readContents(whole, places, this.#from.read, this.#lookup, this.#problems);
    this.#problems.throwIfAny();
    this.#noteIgnored(whole);
    return { model: whole, contents, folder: this.#folder, notes: [...this.#problems.notes] };
  }

  #extended(path: string, place: Place | undefined): OneFile | undefined {
    if (!this.#open.has(path)) this.#open.set(path, this.#file(path, dirname(path), place));
    return this.#open.get(path);
  }

  /** `folder`: what its paths are meant from. */
  #file(path: string, folder: string, place: Place | undefined): OneFile | undefined {
    if (this.#open.size > MAX_FILES) {
      this.#problems.add(place, "", `more than ${MAX_FILES} files are extended`);
      return undefined;
    }
    const text = this.#text(path, place);
    let root = text === undefined ? undefined : parseYaml(path, text, this.#problems);
    if (root === undefined) return undefined;
    if (root.kind !== "dict") {
      this.#problems.add(root.at, "", "a compose file is a mapping, with services at its top");
      return undefined;
    }
    const { node, cleared } = takeTags(root);
    root = this.#o.raw ? node : substitute(node, this.#lookup, this.#problems);
    const scope = new Scope(this.#problems, { folder, home: this.#from.env.HOME });
    const model = composeFile(root, scope) ?? {};
    return { path, model, services: model.services ?? {}, cleared, places: scope.places };
  }

  #text(path: string, place: Place | undefined): string | undefined {
    try {
      return this.#from.read(path === "-" ? path : resolve(this.#from.folder, path)).toString();
    } catch (error) {
      this.#problems.add(place, "", `cannot read ${path}: ${reason(error)}`);
      return undefined;
    }
  }

  #dotEnv(): Map<string, string | null> {
    const path = resolve(this.#folder, ".env");
    let text: string;
    try {
      text = this.#from.read(path).toString();
    } catch {
      return new Map();
    }
    return parseEnvFile(path, text, (name) => this.#from.env[name], this.#problems);
  }

  /** Services of the profiles that are wanted, with their env_file and label_file read. */
  #settled(model: Partial<Model>): Model {
    const profiles = this.#o.profiles ?? [];
    const wanted = Object.entries(model.services ?? {}).filter(
      ([, { profiles: of }]) =>
        of === undefined ||
        of.length === 0 ||
        of.some((each) => profiles.includes(each)) ||
        profiles.includes("*"),
    );
    const services = wanted.map(([name, service]) => [name, this.#withFiles(name, service)]);
    return {
      ...model,
      services: Object.fromEntries(services),
      networks: model.networks ?? {},
      volumes: model.volumes ?? {},
      secrets: model.secrets ?? {},
      configs: model.configs ?? {},
    };
  }

  #withFiles(name: string, service: Service): Service {
    if (this.#o.raw) return service;
    const { env_file, label_file, profiles: _, ...rest } = service;
    const result: Service = rest;
    const environment: Record<string, string | null> = {};
    for (const { path, required } of env_file ?? [])
      Object.assign(environment, this.#lines(`services.${name}.env_file`, path, required ?? true));
    Object.assign(environment, service.environment);
    for (const [key, value] of Object.entries(environment))
      if (value === null) environment[key] = this.#lookup(key) ?? null;
    if (Object.keys(environment).length > 0) result.environment = environment;
    const labels: Record<string, string> = {};
    for (const path of label_file ?? [])
      for (const [key, value] of Object.entries(this.#lines(`services.${name}.label_file`, path, true)))
        labels[key] = value ?? "";
    if (label_file) result.labels = { ...labels, ...service.labels };
    return result;
  }

  #lines(key: string, path: string, isRequired: boolean): Record<string, string | null> {
    try {
      const text = this.#from.read(path).toString();
      return Object.fromEntries(parseEnvFile(path, text, this.#lookup, this.#problems));
    } catch (error) {
      if (isRequired || (error as NodeJS.ErrnoException).code !== "ENOENT")
        this.#problems.add(undefined, key, `cannot read ${path}: ${reason(error)}`);
      return {};
    }
  }

  #noteIgnored({ services }: Model): void {
    const used = IGNORED.filter((key) => Object.values(services).some((service) => key in service));
    if (used.length > 0) this.#problems.notes.add(`Ignoring unsupported options: ${used.join(", ")}`);
  }
}

/** The name of a stack that is given none: its file's, else its folder's, as far as a name can have it. */
export function projectName({ model, folder }: Loaded): string {
  const name = model.name ?? basename(folder);
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");
}
