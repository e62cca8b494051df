import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { CreelError } from "@creel/shared/errors";

/** Where the daemon is: what `node:http` connects to. */
export interface Host {
  socketPath?: string;
  host?: string;
  port?: number;
  tls?: { ca?: Buffer; cert?: Buffer; key?: Buffer };
}

const DEFAULT_SOCKETS = ["/run/creel/creel.sock", "/var/run/docker.sock"];

/** The daemon that `-H`, else DOCKER_HOST, else this machine's own socket names. */
export function resolveHost(option: string | undefined, env: NodeJS.ProcessEnv = process.env): Host {
  const text = option ?? env.CREEL_HOST ?? env.DOCKER_HOST;
  if (text === undefined || text === "") {
    return { socketPath: DEFAULT_SOCKETS.find((path) => existsSync(path)) ?? DEFAULT_SOCKETS[0]! };
  }
  const [scheme, rest = ""] = text.includes("://") ? text.split(/:\/\/(.*)/s) : ["tcp", text];
  if (scheme === "unix") return { socketPath: rest };
  if (scheme !== "tcp") {
    throw new CreelError("invalid_parameter", {
      message: `unable to parse docker host \`${text}\`: unix://PATH or tcp://HOST:PORT`,
    });
  }
  const url = URL.parse(`http://${rest}`);
  if (url === null || url.hostname === "") {
    throw new CreelError("invalid_parameter", { message: `unable to parse docker host \`${text}\`` });
  }
  const tls = env.DOCKER_TLS_VERIFY
    ? certificates(env.DOCKER_CERT_PATH ?? join(homedir(), ".docker"))
    : undefined;
  const host: Host = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port) || (tls ? 2376 : 2375),
  };
  if (tls !== undefined) host.tls = tls;
  return host;
}

function certificates(dir: string): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  const read = (name: string) => (existsSync(join(dir, name)) ? readFileSync(join(dir, name)) : undefined);
  const [ca, cert, key] = [read("ca.pem"), read("cert.pem"), read("key.pem")];
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}
