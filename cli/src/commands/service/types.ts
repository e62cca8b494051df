import type { ConfigReference, SecretReference } from "./references.ts";

/** A published port of a service. */
export interface PortConfig {
  Protocol: string;
  TargetPort: number;
  PublishedPort?: number;
  PublishMode?: string;
}

/** A network of a service's tasks. */
export interface Attachment {
  Target: string;
  Aliases?: string[];
  DriverOpts?: Record<string, string>;
}

/** What of a service's spec the command line reads or changes; the rest is kept as it is. */
export interface ServiceSpec {
  Name: string;
  Labels?: Record<string, string>;
  TaskTemplate: {
    ContainerSpec: {
      Image: string;
      Env?: string[];
      Labels?: Record<string, string>;
      Mounts?: { Target: string }[];
      Hosts?: string[];
      Secrets?: SecretReference[];
      Configs?: ConfigReference[];
      [key: string]: unknown;
    };
    Placement?: { Constraints?: string[]; Preferences?: { Spread: { SpreadDescriptor: string } }[] };
    Networks?: Attachment[];
    ForceUpdate?: number;
    [key: string]: unknown;
  };
  Mode: {
    Replicated?: { Replicas: number };
    Global?: object;
    ReplicatedJob?: { MaxConcurrent?: number; TotalCompletions?: number };
    GlobalJob?: object;
  };
  EndpointSpec?: { Mode?: string; Ports?: PortConfig[] };
  [key: string]: unknown;
}

export interface Service {
  ID: string;
  Version: { Index: number };
  Spec: ServiceSpec;
  PreviousSpec?: ServiceSpec;
  Endpoint: { Ports?: PortConfig[] };
  UpdateStatus?: { State?: string; Message?: string };
  ServiceStatus?: { RunningTasks: number; DesiredTasks: number; CompletedTasks?: number };
}

export function modeOf(spec: ServiceSpec): string {
  if (spec.Mode.Global) return "global";
  if (spec.Mode.ReplicatedJob) return "replicated job";
  return spec.Mode.GlobalJob ? "global job" : "replicated";
}
