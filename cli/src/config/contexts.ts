import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { invalid } from "../invalid.ts";
import { configDir, readConfig, readJson, writeConfig, writeWhole } from "./files.ts";

/** Where the daemon is when no context says so. */
export const DEFAULT = "default";

/** A named daemon, in docker's own format. */
export interface StoredContext {
  Name: string;
  Metadata: { Description?: string; [key: string]: unknown };
  Endpoints: { docker?: { Host?: string; SkipTLSVerify?: boolean } };
}

/** Certificates as `node:tls` takes them. */
export interface Certificates {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
}
const TLS_FILES = { ca: "ca.pem", cert: "cert.pem", key: "key.pem" } as const;

// an import statement would read all of node:crypto, also where no context is named
const digest = (name: string) =>
  process.getBuiltinModule("node:crypto").createHash("sha256").update(name).digest("hex");

/** Docker's contexts in its own folder: what one of the two makes, the other one sees. */
export class ContextStore {
  readonly #dir: string;
  constructor(dir = configDir()) {
    this.#dir = dir;
  }

  /** By name, without the default. */
  list(): StoredContext[] {
    const meta = join(this.#dir, "contexts/meta");
    if (!existsSync(meta)) return [];
    return readdirSync(meta)
      .flatMap((id) => readJson<StoredContext>(join(meta, id, "meta.json")) ?? [])
      .sort((a, b) => (a.Name < b.Name ? -1 : 1));
  }

  find(name: string): StoredContext | undefined {
    return readJson<StoredContext>(this.metaPath(name));
  }

  get(name: string): StoredContext {
    const found = this.find(name);
    if (found === undefined) throw invalid(`context "${name}" does not exist: see creel context ls`);
    return found;
  }

  save(context: StoredContext, tls: Certificates): void {
    checkName(context.Name);
    writeWhole(this.metaPath(context.Name), JSON.stringify(context), 0o644);
    for (const [kind, file] of Object.entries(TLS_FILES)) {
      const data = tls[kind as keyof Certificates];
      if (data !== undefined) writeWhole(join(this.tlsPath(context.Name), "docker", file), data, 0o600);
    }
  }

  remove(name: string): void {
    this.get(name);
    rmSync(join(this.#dir, "contexts/meta", digest(name)), { recursive: true, force: true });
    rmSync(this.tlsPath(name), { recursive: true, force: true });
  }

  /** The certificates stored with a context; undefined when it has none. */
  certificates(name: string): Certificates | undefined {
    return readCertificates(join(this.tlsPath(name), "docker"));
  }

  metaPath(name: string): string {
    return join(this.#dir, "contexts/meta", digest(name), "meta.json");
  }
  tlsPath(name: string): string {
    return join(this.#dir, "contexts/tls", digest(name));
  }

  /** The context that is used where nothing else is said. */
  current(): string {
    return readConfig(this.#dir).currentContext || DEFAULT;
  }

  use(name: string): void {
    if (name !== DEFAULT) this.get(name);
    const { currentContext: _, ...config } = readConfig(this.#dir);
    writeConfig(name === DEFAULT ? config : { ...config, currentContext: name }, this.#dir);
  }
}

/** `ca.pem`, `cert.pem` and `key.pem` of a folder, those that are there. */
export function readCertificates(dir: string): Certificates | undefined {
  const found: Certificates = {};
  for (const [kind, file] of Object.entries(TLS_FILES)) {
    const path = join(dir, file);
    if (existsSync(path)) found[kind as keyof Certificates] = readFileSync(path);
  }
  return Object.keys(found).length > 0 ? found : undefined;
}

/** Refuses what docker does not take for the name of a context. */
export function checkName(name: string): void {
  if (name === DEFAULT) throw invalid(`"${DEFAULT}" is a reserved context name`);
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/.test(name))
    throw invalid(
      `context name "${name}" is invalid: two characters or more, a letter or digit, then also _ . + -`,
    );
}
