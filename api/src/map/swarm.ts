import { CreelError } from "@creel/shared";
import type { Cluster, ClusterSpec } from "../cluster.ts";
import { fromMillis } from "../http/time.ts";
import type { SwarmSpec } from "../schema/swarm.ts";
import { clusterTls } from "./tls-info.ts";

type Json = Record<string, unknown>;
const DEFAULT_HISTORY = 5;
const DEFAULT_SNAPSHOT = 10_000;
const DEFAULT_HEARTBEAT = 5_000;
const DEFAULT_EXPIRY = 90 * 24 * 3_600_000;

/** The cluster as Docker's `Swarm` without its join tokens. */
export function toCluster(cluster: Cluster): Json {
  return {
    ID: cluster.id,
    Version: { Index: cluster.meta?.version ?? 0 },
    CreatedAt: fromMillis(cluster.meta?.createdAt ?? 0),
    UpdatedAt: fromMillis(cluster.meta?.updatedAt ?? 0),
    Spec: toSwarmSpec(cluster.spec),
    TLSInfo: clusterTls(cluster),
    RootRotationInProgress: cluster.rootCa?.rotation !== undefined,
    DefaultAddrPool: cluster.defaultAddrPool.length > 0 ? cluster.defaultAddrPool : ["10.0.0.0/8"],
    SubnetSize: cluster.subnetSize || 24,
    DataPathPort: cluster.dataPathPort || 4789,
  };
}

/** The answer of GET /swarm. A token that expires says when, beside what Docker's clients read. */
export function toSwarm(cluster: Cluster): Json {
  const {
    workerToken = "",
    managerToken = "",
    workerTokenExpires,
    managerTokenExpires,
  } = cluster.rootCa ?? {};
  return {
    ...toCluster(cluster),
    JoinTokens: {
      Worker: workerToken,
      Manager: managerToken,
      WorkerExpiresAt: workerTokenExpires ? fromMillis(workerTokenExpires) : undefined,
      ManagerExpiresAt: managerTokenExpires ? fromMillis(managerTokenExpires) : undefined,
    },
  };
}

function toSwarmSpec(spec: ClusterSpec | undefined): Json {
  return {
    Name: spec?.name || "default",
    Labels: spec?.labels ?? {},
    Orchestration: { TaskHistoryRetentionLimit: spec?.taskHistoryLimit ?? DEFAULT_HISTORY },
    Raft: {
      SnapshotInterval: spec?.snapshotInterval || DEFAULT_SNAPSHOT,
      KeepOldSnapshots: spec?.oldSnapshots ?? 0,
      LogEntriesForSlowFollowers: 500,
      ElectionTick: 10,
      HeartbeatTick: 1,
    },
    Dispatcher: { HeartbeatPeriod: (spec?.heartbeatPeriod || DEFAULT_HEARTBEAT) * 1e6 },
    CAConfig: {
      NodeCertExpiry: (spec?.nodeCertExpiry || DEFAULT_EXPIRY) * 1e6,
      ForceRotate: spec?.forceRotate || undefined,
    },
    TaskDefaults: spec?.logDriver
      ? { LogDriver: { Name: spec.logDriver.name, Options: spec.logDriver.options } }
      : {},
    EncryptionConfig: { AutoLockManagers: spec?.autolock ?? false },
  };
}

/** The cluster's specification for Docker's; what the body leaves out stays as in `before`. */
export function fromSwarmSpec(body: SwarmSpec, before?: ClusterSpec): ClusterSpec {
  if (body.CAConfig?.ExternalCAs?.length) {
    throw new CreelError("unsupported", {
      message:
        "external certificate authorities are not supported: leave --external-ca out, the managers are the authority",
    });
  }
  const millis = (nanos: number | null | undefined, absent: number) =>
    nanos ? Math.round(nanos / 1e6) : absent;
  const driver = body.TaskDefaults?.LogDriver;
  return {
    name: body.Name || before?.name || "default",
    labels: body.Labels ?? before?.labels ?? {},
    taskHistoryLimit:
      body.Orchestration?.TaskHistoryRetentionLimit ?? before?.taskHistoryLimit ?? DEFAULT_HISTORY,
    snapshotInterval: body.Raft?.SnapshotInterval || before?.snapshotInterval || DEFAULT_SNAPSHOT,
    heartbeatPeriod: millis(body.Dispatcher?.HeartbeatPeriod, before?.heartbeatPeriod || DEFAULT_HEARTBEAT),
    nodeCertExpiry: millis(body.CAConfig?.NodeCertExpiry, before?.nodeCertExpiry || DEFAULT_EXPIRY),
    autolock: body.EncryptionConfig?.AutoLockManagers ?? before?.autolock ?? false,
    logDriver: driver?.Name ? { name: driver.Name, options: driver.Options ?? {} } : before?.logDriver,
    oldSnapshots: body.Raft?.KeepOldSnapshots ?? before?.oldSnapshots ?? 0,
    forceRotate: body.CAConfig?.ForceRotate ?? before?.forceRotate ?? 0,
  };
}
