import { createSocket } from "node:dgram";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import type { Finding } from "./check.ts";

/** What is asked of a port between nodes. */
interface Port {
  port: number;
  protocol: "tcp" | "udp";
  use: string;
}
const PORTS: Port[] = [
  { port: 2377, protocol: "tcp", use: "nodes talk to managers" },
  { port: 4789, protocol: "udp", use: "traffic between containers on different nodes" },
];

/** Whether the ports between nodes are free, or the daemon's own. `isActive`: this machine's daemon is in a cluster. */
export async function checkPorts(isActive: boolean): Promise<Finding[]> {
  return await Promise.all(PORTS.map((port) => check(port, isActive)));
}

async function check({ port, protocol, use }: Port, isActive: boolean): Promise<Finding> {
  const name = `${port}/${protocol}`;
  const error = protocol === "tcp" ? await listenTcp(port) : await listenUdp(port);
  if (error === undefined) return { area: "ports", name, status: "ok", found: "free", means: "" };
  if (error !== "EADDRINUSE")
    return { area: "ports", name, status: "unknown", found: `cannot be tried: ${error}`, means: use };
  const owner = ownerOf(port, protocol);
  const isOurs = isActive && (owner === undefined || /^(creel|node)/.test(owner));
  const found =
    owner === undefined ? (protocol === "udp" ? "in use by the kernel" : "in use") : `in use by ${owner}`;
  if (isOurs) return { area: "ports", name, status: "ok", found: "in use by Creel", means: "" };
  return {
    area: "ports",
    name,
    status: "poor",
    found,
    means: `${use}: choose another one with ${protocol === "tcp" ? "--listen-addr" : "--data-path-port"}, or stop what uses it`,
  };
}

function listenTcp(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(undefined)));
  });
}

function listenUdp(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? error.message);
    });
    socket.bind(port, "0.0.0.0", () => socket.close(() => resolve(undefined)));
  });
}

/** The name of the process that holds a port; root alone can tell for all. */
function ownerOf(port: number, protocol: "tcp" | "udp"): string | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = new Set<string>();
  for (const file of [protocol, `${protocol}6`]) {
    const path = `/proc/net/${file}`;
    if (!existsSync(path)) continue;
    for (const line of readFileSync(path, "utf8").split("\n").slice(1)) {
      const words = line.trim().split(/\s+/);
      const listens = protocol === "udp" || words[3] === "0A";
      if (listens && words[1]?.endsWith(`:${hex}`)) inodes.add(`socket:[${words[9]}]`);
    }
  }
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`))
        if (inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`)))
          return `${readFileSync(`/proc/${pid}/comm`, "utf8").trim()} (process ${pid})`;
    } catch {
      // it has ended, or is another user's
    }
  }
  return undefined;
}
