import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import type { Lab } from "../../tools/src/lab/lab.ts";

/** A process of a lab's host: its id here, and its id there. */
export interface HostProcess {
  pid: number;
  inside: number;
  parent: number;
  command: string;
}

/** The programs that run on a host itself, not in its containers. */
export function hostProcesses(lab: Lab, node: string): HostProcess[] {
  const namespace = (pid: string | number) => readlinkSync(`/proc/${pid}/ns/pid`);
  const own = namespace(lab.node(node).pid);
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        if (namespace(name) !== own) return [];
        const status = readFileSync(`/proc/${name}/status`, "utf8");
        const ids = /^NSpid:\s+(.+)$/m.exec(status)![1]!.split(/\s+/);
        const parent = Number(/^PPid:\s+(\d+)$/m.exec(status)![1]);
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return [{ pid: Number(name), inside: Number(ids.at(-1)), parent, command }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

/** Whether a process has a text anywhere in the memory that it may write to. */
export async function memoryHolds(pid: number, text: string): Promise<boolean> {
  const memory = await open(`/proc/${pid}/mem`);
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
      const [range, mode] = line.split(" ");
      if (!mode?.startsWith("rw")) continue;
      const [from, to] = range!.split("-").map((number) => Number.parseInt(number, 16));
      const buffer = Buffer.alloc(to! - from!);
      // What the kernel alone may read is passed over.
      const { bytesRead } = await memory
        .read(buffer, 0, buffer.length, from!)
        .catch(() => ({ bytesRead: 0 }));
      if (buffer.subarray(0, bytesRead).includes(text)) return true;
    }
    return false;
  } finally {
    await memory.close();
  }
}
