import { existsSync, readFileSync } from "node:fs";
import { type Certificates, ContextStore, DEFAULT, readCertificates } from "../config/contexts.ts";
import { configDir } from "../config/files.ts";
import { invalid } from "../invalid.ts";
import type { Global } from "../program.ts";

/** Where the daemon is: what `node:http` connects to. */
export interface Host {
  socketPath?: string;
  host?: string;
  port?: number;
  tls?: Certificates & { rejectUnauthorized: boolean };
}

const DEFAULT_SOCKETS = ["/run/creel/creel.sock", "/var/run/docker.sock"];
const PORT = 2375;
const TLS_PORT = 2376;

/** The context that is meant: `--context`; none where a host is given; else DOCKER_CONTEXT, else docker's current one. */
export function contextName(global: Global, env: NodeJS.ProcessEnv = process.env): string {
  if (global.context !== undefined) {
    if (global.host !== undefined) throw invalid("conflicting options: either --host or --context, not both");
    return global.context;
  }
  if (global.host !== undefined || env.CREEL_HOST || env.DOCKER_HOST) return DEFAULT;
  return env.DOCKER_CONTEXT || new ContextStore(configDir(env)).current();
}

/** The address that `-H`, else CREEL_HOST or DOCKER_HOST says, else this machine's own socket. */
export function defaultAddress(global: Global, env: NodeJS.ProcessEnv = process.env): string {
  return (
    global.host ||
    env.CREEL_HOST ||
    env.DOCKER_HOST ||
    `unix://${DEFAULT_SOCKETS.find((path) => existsSync(path)) ?? DEFAULT_SOCKETS[0]!}`
  );
}

/** The daemon that the options, the environment or a context name. */
export function resolveHost(global: Global = {}, env: NodeJS.ProcessEnv = process.env): Host {
  const name = contextName(global, env);
  if (name === DEFAULT) return parseAddress(defaultAddress(global, env), tlsOf(global, env));
  const store = new ContextStore(configDir(env));
  const { Host: address, SkipTLSVerify: skip } = store.get(name).Endpoints.docker ?? {};
  if (!address) throw invalid(`context "${name}" names no host`);
  const stored = store.certificates(name);
  return parseAddress(address, stored && { ...stored, rejectUnauthorized: !skip });
}

/** Reads `unix://PATH`, `tcp://HOST:PORT`, `HOST:PORT` or `https://HOST:PORT`. */
export function parseAddress(text: string, tls?: Host["tls"]): Host {
  const [scheme, rest = ""] = text.includes("://") ? text.split(/:\/\/(.*)/s) : ["tcp", text];
  if (scheme === "unix") return { socketPath: rest };
  if (scheme === "ssh")
    throw invalid(
      `${text}: creel does not open ssh connections: forward the socket with ssh -L, and name that`,
    );
  if (scheme !== "tcp" && scheme !== "http" && scheme !== "https")
    throw invalid(`unable to parse docker host \`${text}\`: unix://PATH or tcp://HOST:PORT`);
  const url = URL.parse(`http://${rest}`);
  if (url === null || url.hostname === "") throw invalid(`unable to parse docker host \`${text}\``);
  const secure = tls ?? (scheme === "https" ? { rejectUnauthorized: true } : undefined);
  const port = Number(/:(\d+)(?:\/|$)/.exec(rest)?.[1] ?? 0);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: port || (secure ? TLS_PORT : PORT),
    ...(secure && { tls: secure }),
  };
}

function tlsOf(global: Global, env: NodeJS.ProcessEnv): Host["tls"] {
  const verify = global.tlsverify ?? Boolean(env.DOCKER_TLS_VERIFY);
  if (!verify && !global.tls && !env.DOCKER_TLS) return undefined;
  const found = readCertificates(env.DOCKER_CERT_PATH || configDir(env)) ?? {};
  const named = (path: string | undefined, kind: keyof Certificates) => {
    if (path !== undefined) found[kind] = readFileSync(path);
  };
  named(global.tlscacert, "ca");
  named(global.tlscert, "cert");
  named(global.tlskey, "key");
  return { ...found, rejectUnauthorized: verify };
}
