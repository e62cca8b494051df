import type { Service, UpdateConfig } from "@creel/shared/gen/cluster/v1/objects.ts";

/** How an update goes on, defaults filled in. */
export interface UpdateSettings {
  /** Slots at a time; infinite: all at once. */
  parallelism: number;
  delay: number;
  monitor: number;
  failureAction: "pause" | "continue" | "rollback";
  maxFailureRatio: number;
  startFirst: boolean;
}

const DEFAULTS: UpdateConfig = {
  parallelism: 1,
  delay: 0,
  failureAction: "pause",
  monitor: 5_000,
  maxFailureRatio: 0,
  order: "stop-first",
};

/** What the service says of updates, or of rollbacks while one is under way. */
export function updateSettings(service: Service): UpdateSettings {
  const config = (isRollback(service) ? service.spec?.rollback : service.spec?.update) ?? DEFAULTS;
  const action = config.failureAction;
  return {
    parallelism: config.parallelism === 0 ? Number.POSITIVE_INFINITY : config.parallelism,
    delay: config.delay,
    monitor: config.monitor || DEFAULTS.monitor,
    failureAction:
      action === "continue" || (action === "rollback" && !isRollback(service)) ? action : "pause",
    maxFailureRatio: config.maxFailureRatio,
    startFirst: config.order === "start-first",
  };
}

export function isRollback(service: Service): boolean {
  return service.updateStatus?.state.startsWith("rollback") ?? false;
}

/** Whether an update or a rollback of the service is under way. */
export function isUpdating({ updateStatus }: Service): boolean {
  return updateStatus?.state === "updating" || updateStatus?.state === "rollback_started";
}
