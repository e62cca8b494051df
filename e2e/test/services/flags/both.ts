import { limit, type Row, row, task } from "./row.ts";

// Rows of flags that `service create` and `service update` have alike.

const NANOS = { ms: 1e6, s: 1e9, m: 60e9 };
/** Nanoseconds of a duration with one unit, as docker's flags take it. */
function nanos(text: string): number {
  const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(text)!;
  return Number(count) * NANOS[unit as keyof typeof NANOS];
}

/** How an update or a rollback goes on. */
export interface Pace {
  delay: string;
  failureAction: string;
  maxFailureRatio: number;
  monitor: string;
  order: string;
  parallelism: number;
}

/** `--update-…` or `--rollback-…`. */
export function pace(kind: "update" | "rollback", given: Pace): Row {
  const { delay, failureAction, maxFailureRatio, monitor, order, parallelism } = given;
  return row(
    `--${kind}-delay -failure-action -max-failure-ratio -monitor -order -parallelism`,
    [
      ...[`--${kind}-delay`, delay, `--${kind}-failure-action`, failureAction],
      ...[`--${kind}-max-failure-ratio`, String(maxFailureRatio), `--${kind}-monitor`, monitor],
      ...[`--${kind}-order`, order, `--${kind}-parallelism`, String(parallelism)],
    ],
    ({ spec }) => spec.Spec[kind === "update" ? "UpdateConfig" : "RollbackConfig"],
    {
      Parallelism: parallelism,
      Delay: nanos(delay),
      FailureAction: failureAction,
      Monitor: nanos(monitor),
      MaxFailureRatio: maxFailureRatio,
      Order: order,
    },
  );
}

/** `--restart-…`. */
export const restart = (condition: string, delay: string, attempts: number, window: string): Row =>
  row(
    "--restart-condition -delay -max-attempts -window",
    [
      ...["--restart-condition", condition, "--restart-delay", delay],
      ...["--restart-max-attempts", String(attempts), "--restart-window", window],
    ],
    (seen) => task(seen).RestartPolicy,
    { Condition: condition, Delay: nanos(delay), MaxAttempts: attempts, Window: nanos(window) },
  );

/** `--limit-…`, in the kernel; `mebibytes` of memory. */
export const limits = (cpus: number, mebibytes: number, pids: number): Row[] => [
  row(
    "--limit-cpu",
    ["--limit-cpu", String(cpus)],
    limit("cpu/cpu.cfs_quota_us", "cpu.max"),
    new RegExp(`^${cpus * 100_000}\\b`),
  ),
  row(
    "--limit-memory",
    ["--limit-memory", `${mebibytes}m`],
    limit("memory/memory.limit_in_bytes", "memory.max"),
    String(mebibytes << 20),
  ),
  row("--limit-pids", ["--limit-pids", String(pids)], limit("pids/pids.max", "pids.max"), String(pids)),
];

/** `--reserve-…`. */
export const reservations = (cpus: number, mebibytes: number): Row =>
  row(
    "--reserve-cpu --reserve-memory",
    ["--reserve-cpu", String(cpus), "--reserve-memory", `${mebibytes}m`],
    (seen) => task(seen).Resources.Reservations,
    { NanoCPUs: cpus * 1e9, MemoryBytes: mebibytes << 20 },
  );

/** `--replicas`, and how many of them may be on a node. */
export const replicas = (count: number, perNode: number): Row[] => [
  row("--replicas", ["--replicas", String(count)], ({ spec }) => spec.Spec.Mode.Replicated.Replicas, count),
  row(
    "--replicas-max-per-node",
    ["--replicas-max-per-node", String(perNode)],
    (seen) => task(seen).Placement.MaxReplicas,
    perNode,
  ),
];

/** `--oom-score-adj` and `--workdir`, as the first process has them. */
export const firstProcess = (oomScoreAdj: number, workdir: string): Row[] => [
  row(
    "--oom-score-adj",
    ["--oom-score-adj", String(oomScoreAdj)],
    ({ sh }) => sh("cat /proc/1/oom_score_adj"),
    String(oomScoreAdj),
  ),
  row("--workdir", ["--workdir", workdir], ({ sh }) => sh("busybox readlink /proc/1/cwd"), workdir),
];
