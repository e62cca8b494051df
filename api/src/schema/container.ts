import { maybe, StringMap } from "../http/body.ts";
import { type Static, Type } from "./type.ts";

const Strings = Type.Array(Type.String());
const Command = Type.Union([Type.String(), Strings]);
const Flags = Type.Record(Type.String(), Type.Unknown());
/** The kernel takes no longer one. */
const MAX_HOSTNAME = 64;

const Int32 = () => Type.Integer({ minimum: -(2 ** 31), maximum: 2 ** 31 - 1 });

export const HealthcheckSchema = Type.Object({
  Test: maybe(Strings),
  Interval: maybe(Type.Integer()),
  Timeout: maybe(Type.Integer()),
  StartPeriod: maybe(Type.Integer()),
  StartInterval: maybe(Type.Integer()),
  Retries: maybe(Int32()),
});

export const MountSchema = Type.Object({
  Type: maybe(Type.String()),
  Source: maybe(Type.String()),
  Target: Type.String(),
  ReadOnly: maybe(Type.Boolean()),
  Consistency: maybe(Type.String()),
  BindOptions: maybe(
    Type.Object({
      Propagation: maybe(Type.String()),
      CreateMountpoint: maybe(Type.Boolean()),
      NonRecursive: maybe(Type.Boolean()),
      ReadOnlyNonRecursive: maybe(Type.Boolean()),
      ReadOnlyForceRecursive: maybe(Type.Boolean()),
    }),
  ),
  VolumeOptions: maybe(
    Type.Object({
      NoCopy: maybe(Type.Boolean()),
      Labels: maybe(StringMap),
      Subpath: maybe(Type.String()),
      DriverConfig: maybe(Type.Object({ Name: maybe(Type.String()), Options: maybe(StringMap) })),
    }),
  ),
  TmpfsOptions: maybe(
    Type.Object({ SizeBytes: maybe(Type.Integer()), Mode: maybe(Type.Integer({ minimum: 0 })) }),
  ),
});

export const UlimitSchema = Type.Object({
  Name: Type.String(),
  Soft: maybe(Type.Integer()),
  Hard: maybe(Type.Integer()),
});

const Count = (minimum = 0) => maybe(Type.Integer({ minimum }));

const RestartPolicySchema = Type.Object({
  Name: maybe(Type.String()),
  MaximumRetryCount: maybe(Int32()),
});

const Rates = maybe(Type.Array(Type.Object({ Path: Type.String(), Rate: Type.Integer({ minimum: 0 }) })));
const Weights = maybe(Type.Array(Type.Object({ Path: Type.String(), Weight: Type.Integer({ minimum: 0 }) })));

export const ResourcesSchema = Type.Object({
  CpuShares: maybe(Type.Integer()),
  Memory: maybe(Type.Integer()),
  NanoCpus: maybe(Type.Integer()),
  CpuPeriod: maybe(Type.Integer()),
  CpuQuota: maybe(Type.Integer()),
  CpusetCpus: maybe(Type.String()),
  CpusetMems: maybe(Type.String()),
  MemoryReservation: Count(),
  MemorySwap: Count(-1),
  PidsLimit: maybe(Type.Integer()),
  BlkioWeight: maybe(Type.Integer({ minimum: 0, maximum: 65_535 })),
  BlkioWeightDevice: Weights,
  BlkioDeviceReadBps: Rates,
  BlkioDeviceWriteBps: Rates,
  BlkioDeviceReadIOps: Rates,
  BlkioDeviceWriteIOps: Rates,
  CpuRealtimePeriod: Count(),
  CpuRealtimeRuntime: Count(),
  MemorySwappiness: maybe(Int32()),
  OomKillDisable: maybe(Type.Boolean()),
  Ulimits: maybe(Type.Array(UlimitSchema)),
  Devices: maybe(
    Type.Array(
      Type.Object({
        PathOnHost: Type.String(),
        PathInContainer: maybe(Type.String()),
        CgroupPermissions: maybe(Type.String()),
      }),
    ),
  ),
  DeviceCgroupRules: maybe(Strings),
  DeviceRequests: maybe(
    Type.Array(Type.Object({ Driver: maybe(Type.String()), Capabilities: maybe(Type.Array(Strings)) })),
  ),
  CgroupParent: maybe(Type.String()),
});

export const HostConfigSchema = Type.Object({
  ...ResourcesSchema.fields,
  Binds: maybe(Strings),
  NetworkMode: maybe(Type.String()),
  PortBindings: maybe(
    Type.Record(
      Type.String(),
      maybe(Type.Array(Type.Object({ HostIp: maybe(Type.String()), HostPort: maybe(Type.String()) }))),
    ),
  ),
  RestartPolicy: maybe(RestartPolicySchema),
  AutoRemove: maybe(Type.Boolean()),
  VolumeDriver: maybe(Type.String()),
  StorageOpt: maybe(StringMap),
  Isolation: maybe(Type.String()),
  Annotations: maybe(StringMap),
  VolumesFrom: maybe(Strings),
  CapAdd: maybe(Strings),
  CapDrop: maybe(Strings),
  CgroupnsMode: maybe(Type.String()),
  Dns: maybe(Strings),
  DnsOptions: maybe(Strings),
  DnsSearch: maybe(Strings),
  ExtraHosts: maybe(Strings),
  GroupAdd: maybe(Strings),
  IpcMode: maybe(Type.String()),
  Links: maybe(Strings),
  OomScoreAdj: maybe(Type.Integer()),
  PidMode: maybe(Type.String()),
  Privileged: maybe(Type.Boolean()),
  PublishAllPorts: maybe(Type.Boolean()),
  ReadonlyRootfs: maybe(Type.Boolean()),
  SecurityOpt: maybe(Strings),
  Tmpfs: maybe(StringMap),
  UTSMode: maybe(Type.String()),
  UsernsMode: maybe(Type.String()),
  ShmSize: maybe(Type.Integer()),
  Sysctls: maybe(StringMap),
  Runtime: maybe(Type.String()),
  Init: maybe(Type.Boolean()),
  Mounts: maybe(Type.Array(MountSchema)),
  MaskedPaths: maybe(Strings),
  ReadonlyPaths: maybe(Strings),
  LogConfig: maybe(Type.Object({ Type: maybe(Type.String()), Config: maybe(StringMap) })),
  IOMaximumBandwidth: maybe(Type.Integer()),
  IOMaximumIOps: maybe(Type.Integer()),
});
export type HostConfig = Static<typeof HostConfigSchema>;

export const EndpointSchema = Type.Object({
  IPAMConfig: maybe(
    Type.Object({
      IPv4Address: maybe(Type.String()),
      IPv6Address: maybe(Type.String()),
      LinkLocalIPs: maybe(Strings),
    }),
  ),
  Aliases: maybe(Strings),
  Links: maybe(Strings),
  MacAddress: maybe(Type.String()),
  GwPriority: maybe(Type.Integer()),
  DriverOpts: maybe(StringMap),
});

export const CreateContainerSchema = Type.Object({
  Image: maybe(Type.String()),
  Hostname: maybe(Type.String({ maxLength: MAX_HOSTNAME })),
  Domainname: maybe(Type.String({ maxLength: MAX_HOSTNAME })),
  User: maybe(Type.String()),
  AttachStdin: maybe(Type.Boolean()),
  AttachStdout: maybe(Type.Boolean()),
  AttachStderr: maybe(Type.Boolean()),
  ExposedPorts: maybe(Flags),
  Tty: maybe(Type.Boolean()),
  OpenStdin: maybe(Type.Boolean()),
  StdinOnce: maybe(Type.Boolean()),
  Env: maybe(Strings),
  Cmd: maybe(Command),
  Healthcheck: maybe(HealthcheckSchema),
  Volumes: maybe(Flags),
  WorkingDir: maybe(Type.String()),
  Entrypoint: maybe(Command),
  NetworkDisabled: maybe(Type.Boolean()),
  MacAddress: maybe(Type.String()),
  Labels: maybe(StringMap),
  StopSignal: maybe(Type.String()),
  StopTimeout: maybe(Type.Integer()),
  Shell: maybe(Strings),
  HostConfig: maybe(HostConfigSchema),
  NetworkingConfig: maybe(
    Type.Object({ EndpointsConfig: maybe(Type.Record(Type.String(), maybe(EndpointSchema))) }),
  ),
});
/** The body of POST /containers/create. */
export type CreateContainer = Static<typeof CreateContainerSchema>;

/** The body of POST /containers/{id}/update. */
export const UpdateContainerSchema = Type.Object({
  ...ResourcesSchema.fields,
  RestartPolicy: maybe(RestartPolicySchema),
});

export const ExecCreateSchema = Type.Object({
  Cmd: maybe(Command),
  Env: maybe(Strings),
  WorkingDir: maybe(Type.String()),
  User: maybe(Type.String()),
  Tty: maybe(Type.Boolean()),
  AttachStdin: maybe(Type.Boolean()),
  AttachStdout: maybe(Type.Boolean()),
  AttachStderr: maybe(Type.Boolean()),
  Privileged: maybe(Type.Boolean()),
  DetachKeys: maybe(Type.String()),
});

export const ExecStartSchema = Type.Object({
  Detach: maybe(Type.Boolean()),
  Tty: maybe(Type.Boolean()),
  ConsoleSize: maybe(Type.Array(Type.Integer({ minimum: 0 }))),
});
