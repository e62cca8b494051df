import { CreelError } from "@creel/shared";
import type { Healthcheck, Resources, Ulimit } from "@creel/shared/gen/engine/v1/container.ts";
import type { HealthcheckSchema, ResourcesSchema, UlimitSchema } from "../schema/container.ts";
import type { Static } from "../schema/type.ts";

/** The engine's limits for Docker's `Resources`. */
export function toResources(from: Static<typeof ResourcesSchema>): Resources {
  const requests = from.DeviceRequests ?? [];
  if (requests.length > 0) {
    const [{ Driver, Capabilities }] = requests as [(typeof requests)[0]];
    const wanted = (Capabilities ?? []).map((all) => `[${all.join(" ")}]`).join(" ");
    throw new CreelError("invalid_parameter", {
      message: `could not select device driver "${Driver ?? ""}" with capabilities: [${wanted}]`,
    });
  }
  if (from.CpuRealtimePeriod || from.CpuRealtimeRuntime) {
    throw new CreelError("unsupported", {
      message: "CPU real-time scheduling is not supported: no real-time budget is set aside for containers",
    });
  }
  const rates = (list: typeof from.BlkioDeviceReadBps) =>
    (list ?? []).map(({ Path: path, Rate: value }) => ({ path, value }));
  return {
    nanoCpus: from.NanoCpus ?? 0,
    cpuShares: from.CpuShares ?? 0,
    cpuQuota: from.CpuQuota ?? 0,
    cpuPeriod: from.CpuPeriod ?? 0,
    cpusetCpus: from.CpusetCpus ?? "",
    cpusetMems: from.CpusetMems ?? "",
    memory: from.Memory ?? 0,
    memoryReservation: from.MemoryReservation ?? 0,
    memorySwap: from.MemorySwap ?? 0,
    pidsLimit: from.PidsLimit ?? 0,
    blkioWeight: from.BlkioWeight ?? 0,
    oomKillDisable: from.OomKillDisable ?? false,
    oomScoreAdj: 0,
    memorySwappiness: from.MemorySwappiness === -1 ? undefined : (from.MemorySwappiness ?? undefined),
    blkioWeightDevices: (from.BlkioWeightDevice ?? []).map(({ Path: path, Weight: value }) => ({
      path,
      value,
    })),
    blkioReadBps: rates(from.BlkioDeviceReadBps),
    blkioWriteBps: rates(from.BlkioDeviceWriteBps),
    blkioReadIops: rates(from.BlkioDeviceReadIOps),
    blkioWriteIops: rates(from.BlkioDeviceWriteIOps),
    ulimits: (from.Ulimits ?? []).map(toUlimit),
    deviceCgroupRules: from.DeviceCgroupRules ?? [],
  };
}

/** One limit of a process. */
export function toUlimit(limit: Static<typeof UlimitSchema>): Ulimit {
  return { name: limit.Name, soft: limit.Soft ?? 0, hard: limit.Hard ?? limit.Soft ?? 0 };
}

/** The engine's healthcheck for Docker's. */
export function toHealthcheck(
  from: Static<typeof HealthcheckSchema> | null | undefined,
): Healthcheck | undefined {
  if (!from) return undefined;
  return {
    test: from.Test ?? [],
    intervalNanos: from.Interval ?? 0,
    timeoutNanos: from.Timeout ?? 0,
    startPeriodNanos: from.StartPeriod ?? 0,
    startIntervalNanos: from.StartInterval ?? 0,
    retries: from.Retries ?? 0,
  };
}

/** Docker's healthcheck for the engine's; fields at their defaults are left out, as Docker does. */
export function fromHealthcheck(check: Healthcheck | undefined): Record<string, unknown> | undefined {
  if (!check) return undefined;
  return {
    Test: check.test,
    Interval: check.intervalNanos || undefined,
    Timeout: check.timeoutNanos || undefined,
    StartPeriod: check.startPeriodNanos || undefined,
    StartInterval: check.startIntervalNanos || undefined,
    Retries: check.retries || undefined,
  };
}
