import type { ListOptions, View } from "../../output/listing.ts";
import { binary, bytes, short } from "../../output/words.ts";

/** What is used of the figures of `GET /containers/{id}/stats`. */
export interface Sample {
  id: string;
  name: string;
  pids_stats: { current?: number };
  cpu_stats: Cpu;
  precpu_stats: Cpu;
  memory_stats: { usage?: number; limit?: number; stats?: Record<string, number> };
  blkio_stats: { io_service_bytes_recursive: { op: string; value: number }[] | null };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
}
interface Cpu {
  cpu_usage: { total_usage: number; percpu_usage?: number[] };
  system_cpu_usage?: number;
  online_cpus?: number;
}

/** What a container uses. */
export interface Used {
  /** As it was asked for. */
  container: string;
  id: string;
  name: string;
  /** Of one core; 200 is all of two. */
  cpuPercent: number;
  memory: number;
  memoryLimit: number;
  received: number;
  sent: number;
  read: number;
  written: number;
  pids: number;
}

/** What was used between two samples of the processor, and of the rest now. */
export function use(container: string, now: Sample, before: Cpu): Used {
  const networks = Object.values(now.networks ?? {});
  const io = now.blkio_stats.io_service_bytes_recursive ?? [];
  const sum = (values: number[]) => values.reduce((total, each) => total + each, 0);
  const moved = (letter: string) =>
    sum(io.filter(({ op }) => op.toLowerCase().startsWith(letter)).map(({ value }) => value));
  return {
    container,
    id: now.id,
    name: now.name.replace(/^\//, ""),
    cpuPercent: percentOf(now.cpu_stats, before),
    memory: withoutCache(now.memory_stats),
    memoryLimit: now.memory_stats.limit ?? 0,
    received: sum(networks.map((each) => each.rx_bytes)),
    sent: sum(networks.map((each) => each.tx_bytes)),
    read: moved("r"),
    written: moved("w"),
    pids: now.pids_stats.current ?? 0,
  };
}

function percentOf(now: Cpu, before: Cpu): number {
  const own = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const all = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const cores = now.online_cpus ?? now.cpu_usage.percpu_usage?.length ?? 1;
  return own > 0 && all > 0 ? (own / all) * cores * 100 : 0;
}

/** Files that were read once and can be dropped at any time are not the container's need. */
function withoutCache({ usage = 0, stats }: Sample["memory_stats"]): number {
  const cache = stats?.total_inactive_file ?? stats?.inactive_file ?? 0;
  return cache < usage ? usage - cache : usage;
}

/** How `stats` lists them. */
export function view(o: ListOptions): View<Used> {
  const percent = (value: number) => `${value.toFixed(2)}%`;
  return {
    fields: {
      Container: (it) => it.container,
      ID: (it) => (o.trunc === false ? it.id : short(it.id)),
      Name: (it) => it.name,
      CPUPerc: (it) => percent(it.cpuPercent),
      MemUsage: (it) => `${binary(it.memory)} / ${binary(it.memoryLimit)}`,
      MemPerc: (it) => percent(it.memoryLimit > 0 ? (it.memory / it.memoryLimit) * 100 : 0),
      NetIO: (it) => `${bytes(it.received)} / ${bytes(it.sent)}`,
      BlockIO: (it) => `${bytes(it.read)} / ${bytes(it.written)}`,
      PIDs: (it) => it.pids,
    },
    headings: {
      Container: "CONTAINER",
      ID: "CONTAINER ID",
      Name: "NAME",
      CPUPerc: "CPU %",
      MemUsage: "MEM USAGE / LIMIT",
      MemPerc: "MEM %",
      NetIO: "NET I/O",
      BlockIO: "BLOCK I/O",
      PIDs: "PIDS",
    },
    columns: ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
    rigid: ["ID", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
  };
}
