import { maybe, StringMap } from "../http/body.ts";
import { type Static, Type } from "./type.ts";

const Count = maybe(Type.Integer({ minimum: 0 }));

export const SwarmSpecSchema = Type.Object({
  Name: maybe(Type.String()),
  Labels: maybe(StringMap),
  Orchestration: maybe(Type.Object({ TaskHistoryRetentionLimit: maybe(Type.Integer()) })),
  Raft: maybe(Type.Object({ SnapshotInterval: Count, KeepOldSnapshots: Count })),
  Dispatcher: maybe(Type.Object({ HeartbeatPeriod: Count })),
  CAConfig: maybe(
    Type.Object({
      NodeCertExpiry: Count,
      ExternalCAs: maybe(Type.Array(Type.Unknown())),
      ForceRotate: Count,
      SigningCACert: maybe(Type.String()),
      SigningCAKey: maybe(Type.String()),
    }),
  ),
  TaskDefaults: maybe(
    Type.Object({
      LogDriver: maybe(Type.Object({ Name: maybe(Type.String()), Options: maybe(StringMap) })),
    }),
  ),
  EncryptionConfig: maybe(Type.Object({ AutoLockManagers: maybe(Type.Boolean()) })),
});
/** `Spec` of a swarm. */
export type SwarmSpec = Static<typeof SwarmSpecSchema>;

const Availability = maybe(Type.String());

export const SwarmInitSchema = Type.Object({
  ListenAddr: maybe(Type.String()),
  AdvertiseAddr: maybe(Type.String()),
  DataPathAddr: maybe(Type.String()),
  DataPathPort: Count,
  DefaultAddrPool: maybe(Type.Array(Type.String())),
  SubnetSize: Count,
  ForceNewCluster: maybe(Type.Boolean()),
  AutoLockManagers: maybe(Type.Boolean()),
  Availability,
  Spec: maybe(SwarmSpecSchema),
});

export const SwarmUnlockSchema = Type.Object({ UnlockKey: maybe(Type.String()) });

export const SwarmJoinSchema = Type.Object({
  ListenAddr: maybe(Type.String()),
  AdvertiseAddr: maybe(Type.String()),
  DataPathAddr: maybe(Type.String()),
  RemoteAddrs: maybe(Type.Array(Type.String())),
  JoinToken: maybe(Type.String()),
  Availability,
});

export const NodeSpecSchema = Type.Object({
  Name: maybe(Type.String()),
  Labels: maybe(StringMap),
  Role: maybe(Type.String()),
  Availability,
});

export const NetworkCreateSchema = Type.Object({
  Name: maybe(Type.String()),
  Driver: maybe(Type.String()),
  Scope: maybe(Type.String()),
  Internal: maybe(Type.Boolean()),
  Attachable: maybe(Type.Boolean()),
  Ingress: maybe(Type.Boolean()),
  ConfigOnly: maybe(Type.Boolean()),
  ConfigFrom: maybe(Type.Object({ Network: maybe(Type.String()) })),
  EnableIPv4: maybe(Type.Boolean()),
  EnableIPv6: maybe(Type.Boolean()),
  Options: maybe(StringMap),
  Labels: maybe(StringMap),
  IPAM: maybe(
    Type.Object({
      Driver: maybe(Type.String()),
      Options: maybe(StringMap),
      Config: maybe(
        Type.Array(
          Type.Object({
            Subnet: maybe(Type.String()),
            IPRange: maybe(Type.String()),
            Gateway: maybe(Type.String()),
          }),
        ),
      ),
    }),
  ),
});
/** The body of POST /networks/create. */
export type NetworkCreate = Static<typeof NetworkCreateSchema>;
