/** Labels by which docker and creel know what belongs to a stack. */
export const NAMESPACE = "com.docker.stack.namespace";
export const IMAGE = "com.docker.stack.image";

/** What a stack is made of, as the API takes it. */
export interface StackSpecs {
  name: string;
  networks: NetworkSpec[];
  secrets: FileSpec[];
  configs: FileSpec[];
  services: StackServiceSpec[];
  /** What must be there already, by the cluster's names. */
  external: { networks: string[]; secrets: string[]; configs: string[] };
}

/** The body of POST /networks/create. */
export interface NetworkSpec {
  Name: string;
  Driver: string;
  Labels: Record<string, string>;
  Options?: Record<string, string>;
  Internal?: boolean;
  Attachable?: boolean;
  EnableIPv6?: boolean;
  IPAM?: { Driver?: string; Config?: { Subnet?: string; Gateway?: string }[] };
}

/** The body of POST /secrets/create and /configs/create. */
export interface FileSpec {
  Name: string;
  Labels: Record<string, string>;
  /** Base 64. */
  Data?: string;
  Driver?: { Name: string; Options?: Record<string, string> };
  Templating?: { Name: string };
}

/** A task's use of a secret (or, with Config in place of Secret, a config); the id is filled in where it is known. */
export interface FileReference {
  File?: { Name: string; UID: string; GID: string; Mode: number };
  Runtime?: object;
  SecretID?: string;
  SecretName?: string;
  ConfigID?: string;
  ConfigName?: string;
}

/** The body of POST /services/create. */
export interface StackServiceSpec {
  Name: string;
  Labels: Record<string, string>;
  TaskTemplate: {
    ContainerSpec: {
      Image: string;
      Secrets?: FileReference[];
      Configs?: FileReference[];
      Privileges?: { CredentialSpec?: { Config?: string; File?: string; Registry?: string } };
      [key: string]: unknown;
    };
    Networks: { Target: string; Aliases?: string[]; DriverOpts?: Record<string, string> }[];
    ForceUpdate?: number;
    [key: string]: unknown;
  };
  Mode: object;
  [key: string]: unknown;
}
