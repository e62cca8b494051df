import type { ContainerStats, InterfaceStats, IoStats } from "@creel/shared/gen/engine/v1/container.ts";
import { fromNanos } from "../http/time.ts";

type Json = Record<string, unknown>;

/** An answer of GET /containers/{id}/stats: `now`, with the processor's figures of `before`. */
export function toStats(now: ContainerStats, before: ContainerStats | undefined): Json {
  return {
    name: `/${now.name}`,
    id: now.id,
    read: fromNanos(now.timeNanos),
    preread: fromNanos(before?.timeNanos ?? "0"),
    pids_stats: now.running ? { current: now.pids, ...(now.pidsLimit > 0 && { limit: now.pidsLimit }) } : {},
    blkio_stats: {
      io_service_bytes_recursive: toIo(now.ioBytes),
      io_serviced_recursive: toIo(now.ioOperations),
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: toCpu(now),
    precpu_stats: toCpu(before),
    memory_stats: now.running
      ? {
          usage: now.memory,
          ...(now.memoryMost > 0 && { max_usage: now.memoryMost }),
          ...(now.memoryFailures > 0 && { failcnt: now.memoryFailures }),
          stats: now.memoryDetails,
          limit: now.memoryLimit,
        }
      : {},
    ...(now.interfaces.length > 0 && { networks: toNetworks(now.interfaces) }),
  };
}

function toIo(list: IoStats[]): Json[] | null {
  if (list.length === 0) return null;
  return list.map(({ major, minor, operation, value }) => ({ major, minor, op: operation, value }));
}

function toCpu(stats: ContainerStats | undefined): Json {
  const throttling = {
    periods: stats?.throttlePeriods ?? 0,
    throttled_periods: stats?.throttledPeriods ?? 0,
    throttled_time: stats?.throttled ?? 0,
  };
  const usage = {
    total_usage: stats?.cpuTotal ?? 0,
    ...(stats && stats.cpuEach.length > 0 && { percpu_usage: stats.cpuEach }),
    usage_in_kernelmode: stats?.cpuKernel ?? 0,
    usage_in_usermode: stats?.cpuUser ?? 0,
  };
  if (!stats?.running) return { cpu_usage: usage, throttling_data: throttling };
  return {
    cpu_usage: usage,
    system_cpu_usage: stats.systemCpu,
    online_cpus: stats.onlineCpus,
    throttling_data: throttling,
  };
}

function toNetworks(interfaces: InterfaceStats[]): Json {
  const one = ({ name, rxBytes, rxPackets, rxErrors, rxDropped, ...tx }: InterfaceStats) => [
    name,
    {
      rx_bytes: rxBytes,
      rx_packets: rxPackets,
      rx_errors: rxErrors,
      rx_dropped: rxDropped,
      tx_bytes: tx.txBytes,
      tx_packets: tx.txPackets,
      tx_errors: tx.txErrors,
      tx_dropped: tx.txDropped,
    },
  ];
  return Object.fromEntries(interfaces.map(one));
}
