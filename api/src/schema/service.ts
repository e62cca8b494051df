import { maybe, StringMap } from "../http/body.ts";
import { HealthcheckSchema, MountSchema, UlimitSchema } from "./container.ts";
import { type Static, Type } from "./type.ts";

const Strings = maybe(Type.Array(Type.String()));
const Text = maybe(Type.String());
const Flag = maybe(Type.Boolean());
const Count = maybe(Type.Integer({ minimum: 0 }));
/** Go's longest duration is 292 years; it is kept in milliseconds. */
const Nanos = maybe(Type.Integer({ minimum: 0, maximum: 2 ** 63 }));
const Amount = maybe(Type.Integer());
const FileTarget = maybe(Type.Object({ Name: Text, UID: Text, GID: Text, Mode: Count }));

const Attachments = maybe(
  Type.Array(Type.Object({ Target: Text, Aliases: Strings, DriverOpts: maybe(StringMap) })),
);

const ServiceContainerSchema = Type.Object({
  Image: Text,
  Labels: maybe(StringMap),
  Command: Strings,
  Args: Strings,
  Hostname: Text,
  Env: Strings,
  Dir: Text,
  User: Text,
  Groups: Strings,
  TTY: Flag,
  OpenStdin: Flag,
  ReadOnly: Flag,
  Mounts: maybe(Type.Array(MountSchema)),
  StopSignal: Text,
  StopGracePeriod: Nanos,
  Healthcheck: maybe(HealthcheckSchema),
  Hosts: Strings,
  DNSConfig: maybe(Type.Object({ Nameservers: Strings, Search: Strings, Options: Strings })),
  Secrets: maybe(Type.Array(Type.Object({ SecretID: Text, SecretName: Text, File: FileTarget }))),
  Configs: maybe(
    Type.Array(
      Type.Object({
        ConfigID: Text,
        ConfigName: Text,
        File: FileTarget,
        Runtime: maybe(Type.Object({})),
      }),
    ),
  ),
  Init: Flag,
  Isolation: Text,
  Sysctls: maybe(StringMap),
  CapabilityAdd: Strings,
  CapabilityDrop: Strings,
  Ulimits: maybe(Type.Array(UlimitSchema)),
  OomScoreAdj: maybe(Type.Integer({ minimum: -1000, maximum: 1000 })),
  Privileges: maybe(
    Type.Object({
      CredentialSpec: maybe(Type.Object({})),
      NoNewPrivileges: Flag,
      Seccomp: maybe(Type.Object({ Mode: Text, Profile: Text })),
    }),
  ),
});

const Generic = maybe(
  Type.Array(
    Type.Object({
      NamedResourceSpec: maybe(Type.Object({ Kind: Type.String(), Value: Type.String() })),
      DiscreteResourceSpec: maybe(Type.Object({ Kind: Type.String(), Value: Type.Integer() })),
    }),
  ),
);

const TaskTemplateSchema = Type.Object({
  ContainerSpec: maybe(ServiceContainerSchema),
  Resources: maybe(
    Type.Object({
      Limits: maybe(Type.Object({ NanoCPUs: Amount, MemoryBytes: Amount, Pids: Count })),
      Reservations: maybe(
        Type.Object({
          NanoCPUs: Amount,
          MemoryBytes: Amount,
          GenericResources: Generic,
        }),
      ),
    }),
  ),
  PluginSpec: maybe(Type.Object({})),
  NetworkAttachmentSpec: maybe(Type.Object({})),
  RestartPolicy: maybe(Type.Object({ Condition: Text, Delay: Nanos, MaxAttempts: Count, Window: Nanos })),
  Placement: maybe(
    Type.Object({
      Constraints: Strings,
      Preferences: maybe(
        Type.Array(Type.Object({ Spread: maybe(Type.Object({ SpreadDescriptor: Type.String() })) })),
      ),
      MaxReplicas: Count,
      Platforms: maybe(Type.Array(Type.Object({ Architecture: Text, OS: Text }))),
    }),
  ),
  Networks: Attachments,
  LogDriver: maybe(Type.Object({ Name: Text, Options: maybe(StringMap) })),
  ForceUpdate: Count,
  Runtime: Text,
});

const UpdateConfigSchema = Type.Object({
  Parallelism: Count,
  Delay: Nanos,
  FailureAction: Text,
  Monitor: Nanos,
  MaxFailureRatio: maybe(Type.Number({ minimum: 0, maximum: 1 })),
  Order: Text,
});

const Port = Type.Integer({ minimum: 0, maximum: 65535 });

export const ServiceSpecSchema = Type.Object({
  Name: Text,
  Labels: maybe(StringMap),
  TaskTemplate: maybe(TaskTemplateSchema),
  Mode: maybe(
    Type.Object({
      Replicated: maybe(Type.Object({ Replicas: Count })),
      Global: maybe(Type.Object({})),
      ReplicatedJob: maybe(Type.Object({ MaxConcurrent: Count, TotalCompletions: Count })),
      GlobalJob: maybe(Type.Object({})),
    }),
  ),
  UpdateConfig: maybe(UpdateConfigSchema),
  RollbackConfig: maybe(UpdateConfigSchema),
  Networks: Attachments,
  EndpointSpec: maybe(
    Type.Object({
      Mode: Text,
      Ports: maybe(
        Type.Array(
          Type.Object({
            Name: Text,
            Protocol: Text,
            TargetPort: maybe(Port),
            PublishedPort: maybe(Port),
            PublishMode: Text,
          }),
        ),
      ),
    }),
  ),
});
/** The body of POST /services/create and /services/{id}/update. */
export type ServiceBody = Static<typeof ServiceSpecSchema>;
export type TaskTemplate = Static<typeof TaskTemplateSchema>;
export type UpdateBody = Static<typeof UpdateConfigSchema>;
export type ServiceContainer = Static<typeof ServiceContainerSchema>;
