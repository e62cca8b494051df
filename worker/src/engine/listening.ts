import { readFile } from "node:fs/promises";

const LISTEN = "0A";
/** 127.0.0.0/8 and ::1 as the kernel writes them: nobody else gets there. */
const LOOPBACK = /^(?:[0-9A-F]{6}7F|0{24}01000000)$/;

/** TCP ports at which something in the network namespace of a process takes connections from outside. */
export async function listeningPorts(pid: number): Promise<Set<number>> {
  const tables = await Promise.all(["tcp", "tcp6"].map((name) => socketTable(`/proc/${pid}/net/${name}`)));
  return new Set(tables.flatMap(portsOf));
}

function portsOf(table: string): number[] {
  const ports: number[] = [];
  for (const line of table.split("\n").slice(1)) {
    const [, local = "", , state] = line.trim().split(/\s+/);
    const [address = "", port = ""] = local.split(":");
    if (state === LISTEN && !LOOPBACK.test(address)) ports.push(Number.parseInt(port, 16));
  }
  return ports;
}

/** Empty where the process is gone, or the kernel has no IPv6. */
async function socketTable(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
