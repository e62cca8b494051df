import { readFile } from "node:fs/promises";

const LISTEN = "0A";
/** 127.0.0.0/8 and ::1 as the kernel writes them: nobody else gets there. */
const LOOPBACK = /^(?:[0-9A-F]{6}7F|0{24}01000000)$/;

/** Whether something in the network namespace of a process takes connections from outside at all `ports`; none: at any. */
export async function listens(pid: number, ports: number[]): Promise<boolean> {
  const tables = await Promise.all(["tcp", "tcp6"].map((name) => socketTable(`/proc/${pid}/net/${name}`)));
  const open = new Set(tables.flatMap(portsOf));
  return ports.length === 0 ? open.size > 0 : ports.every((port) => open.has(port));
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
