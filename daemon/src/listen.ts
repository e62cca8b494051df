import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, unlinkSync } from "node:fs";
import type { Server } from "node:http";
import type { ServerOptions as TlsOptions } from "node:https";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Api } from "@creel/api";
import { CreelError, messageOf } from "@creel/shared";
import type { DaemonConfig } from "./config.ts";

/** The first descriptor that systemd hands over. */
const FIRST_FD = 3;
/** Connections that wait to be taken; a UNIX socket refuses more at once. The kernel bounds it by somaxconn. */
const BACKLOG = 4096;

/** One address to listen at. */
type Host =
  | { scheme: "unix"; path: string }
  | { scheme: "tcp"; host: string; port: number; name: string }
  | { scheme: "fd" };

/** Refuses addresses that may not be served or make no sense, and certificates that cannot be read. */
export function checkHosts(config: DaemonConfig): void {
  if (parseHosts(config).some((host) => host.scheme === "tcp") && config.tls) readTls(config);
}

/** The addresses of the configuration; those that may not be served, or make no sense, are refused. */
export function parseHosts(config: DaemonConfig): Host[] {
  return config.hosts.map((host) => {
    const [, scheme, rest = ""] = /^(unix|tcp|fd):\/\/(.*)$/.exec(host) ?? [];
    if (scheme === "unix") return { scheme, path: rest || `${config.execRoot}/creel.sock` };
    if (scheme === "tcp") return parseTcp(rest, config);
    if (scheme === "fd") return { scheme };
    throw new CreelError("invalid_parameter", {
      message: `invalid bind address (${host}): use unix://PATH, tcp://HOST:PORT or fd://`,
    });
  });
}

/** Serves the API at every address of the configuration; resolves with the way to take the sockets' files away. */
export async function listenAll(api: Api, config: DaemonConfig): Promise<() => void> {
  const paths: string[] = [];
  const remove = () => {
    for (const path of paths.splice(0)) unlinkIfThere(path);
  };
  try {
    for (const host of parseHosts(config)) {
      if (host.scheme === "unix") {
        await listenUnix(api.server(), host.path, config.group);
        paths.push(host.path);
      } else if (host.scheme === "tcp") {
        const server = api.server(config.tls ? readTls(config) : undefined);
        await listen(server, { host: host.host, port: host.port }, host.name);
      } else await listenFds(api);
    }
    return remove;
  } catch (error) {
    remove();
    throw error;
  }
}

async function listenUnix(server: Server, path: string, group: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  if (existsSync(path)) {
    if (await answers(path)) {
      throw new CreelError("listen_failed", { addr: path, message: "another process serves it already" });
    }
    unlinkSync(path);
  }
  // nobody else may connect in the moment before the mode is set
  const umask = process.umask(0o177);
  const listening = listen(server, { path }, path);
  process.umask(umask);
  await listening;
  const gid = groupId(group);
  if (gid !== undefined) chownSync(path, 0, gid);
  chmodSync(path, 0o660);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** The group that was asked for, or the first that exists of creel and docker. */
function groupId(wanted: string): number | undefined {
  const groups = new Map<string, number>();
  try {
    for (const line of readFileSync("/etc/group", "utf8").split("\n")) {
      const [name = "", , gid] = line.split(":");
      groups.set(name, Number(gid));
    }
  } catch {
    // a machine without that file has no groups to look for
  }
  if (wanted === "") return groups.get("creel") ?? groups.get("docker");
  if (/^\d+$/.test(wanted)) return Number(wanted);
  const gid = groups.get(wanted);
  if (gid === undefined)
    throw new CreelError("invalid_parameter", {
      message: `group ${wanted} not found: create it, or name another with --group`,
    });
  return gid;
}

function parseTcp(address: string, config: DaemonConfig): Host {
  if (!config.tlsverify && !config.insecureTcp) {
    throw new CreelError("invalid_parameter", {
      message: `tcp://${address} would let whoever reaches it act as root here: ask clients for certificates with --tlsverify, or say --insecure-tcp`,
    });
  }
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?\/?$/.exec(address) ?? [];
  const port = Number(digits ?? (config.tls ? 2376 : 2375));
  if ((v6 ?? v4) === undefined || port > 65535) {
    throw new CreelError("invalid_parameter", { message: `invalid bind address (tcp://${address})` });
  }
  return { scheme: "tcp", host: v6 ?? (v4 || "127.0.0.1"), port, name: `tcp://${address}` };
}

function readTls(config: DaemonConfig): TlsOptions {
  const read = (flag: string, path: string) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new CreelError(
        "invalid_parameter",
        { message: `cannot read --${flag}: ${messageOf(error)}` },
        { cause: error },
      );
    }
  };
  return {
    cert: read("tlscert", config.tlscert),
    key: read("tlskey", config.tlskey),
    minVersion: "TLSv1.2",
    ...(config.tlsverify
      ? { ca: read("tlscacert", config.tlscacert), requestCert: true, rejectUnauthorized: true }
      : {}),
  };
}

async function listenFds(api: Api): Promise<void> {
  const count = Number(process.env.LISTEN_PID) === process.pid ? Number(process.env.LISTEN_FDS) : 0;
  if (!(count > 0)) {
    throw new CreelError("listen_failed", {
      addr: "fd://",
      message: "no socket was handed over (LISTEN_FDS): start it by its systemd socket unit",
    });
  }
  for (let fd = FIRST_FD; fd < FIRST_FD + count; fd++) await listen(api.server(), { fd }, `fd://${fd}`);
}

function listen(
  server: Server,
  options: { path: string } | { host: string; port: number } | { fd: number },
  name: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) =>
      reject(new CreelError("listen_failed", { addr: name, message: error.message }, { cause: error }));
    server.once("error", fail);
    server.listen({ ...options, backlog: BACKLOG }, () => {
      server.off("error", fail);
      resolve();
    });
  });
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // somebody was faster
  }
}
