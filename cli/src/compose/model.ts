/**
 * A compose file once read: its own names, every value in its long form. What Swarm has no use for is kept under its
 * name, so that it can be shown again.
 */
export interface Model {
  name?: string;
  services: Record<string, Service>;
  networks: Record<string, Network>;
  volumes: Record<string, Volume>;
  secrets: Record<string, FileObject>;
  configs: Record<string, FileObject>;
  [extension: `x-${string}`]: unknown;
}

export interface Service {
  image?: string;
  command?: string[];
  entrypoint?: string[];
  environment?: Record<string, string | null>;
  env_file?: EnvFile[];
  label_file?: string[];
  labels?: Record<string, string>;
  hostname?: string;
  user?: string;
  group_add?: string[];
  working_dir?: string;
  ports?: Port[];
  volumes?: Mount[];
  tmpfs?: string[];
  networks?: Record<string, NetworkUse>;
  secrets?: FileUse[];
  configs?: FileUse[];
  healthcheck?: Healthcheck;
  logging?: { driver?: string; options?: Record<string, string> };
  dns?: string[];
  dns_search?: string[];
  dns_opt?: string[];
  extra_hosts?: string[];
  cap_add?: string[];
  cap_drop?: string[];
  sysctls?: Record<string, string>;
  ulimits?: Record<string, Ulimit>;
  credential_spec?: { config?: string; file?: string; registry?: string };
  init?: boolean;
  isolation?: string;
  oom_score_adj?: number;
  platform?: string;
  read_only?: boolean;
  restart?: string;
  scale?: number;
  stdin_open?: boolean;
  stop_grace_period?: string;
  stop_signal?: string;
  tty?: boolean;
  deploy?: Deploy;
  profiles?: string[];
  depends_on?: Record<string, unknown>;
  [ignored: string]: unknown;
}

export interface EnvFile {
  path: string;
  required?: boolean;
}

export interface Port {
  target: number;
  published?: number;
  protocol?: string;
  mode?: string;
}

export interface Mount {
  type: string;
  source?: string;
  target: string;
  read_only?: boolean;
  bind?: { propagation?: string; create_host_path?: boolean };
  volume?: { nocopy?: boolean; subpath?: string };
  tmpfs?: { size?: number; mode?: number };
}

export interface NetworkUse {
  aliases?: string[];
  driver_opts?: Record<string, string>;
}

export interface FileUse {
  source: string;
  target?: string;
  uid?: string;
  gid?: string;
  mode?: number;
}

export interface Healthcheck {
  test?: string[];
  interval?: string;
  timeout?: string;
  start_period?: string;
  start_interval?: string;
  retries?: number;
  disable?: boolean;
}

export interface Ulimit {
  soft: number;
  hard: number;
}

export interface Deploy {
  mode?: string;
  replicas?: number;
  labels?: Record<string, string>;
  endpoint_mode?: string;
  update_config?: UpdateConfig;
  rollback_config?: UpdateConfig;
  restart_policy?: { condition?: string; delay?: string; max_attempts?: number; window?: string };
  placement?: { constraints?: string[]; preferences?: { spread: string }[]; max_replicas_per_node?: number };
  resources?: {
    limits?: { cpus?: string; memory?: string; pids?: number };
    reservations?: {
      cpus?: string;
      memory?: string;
      generic_resources?: { discrete_resource_spec?: { kind: string; value: number } }[];
    };
  };
}

export interface UpdateConfig {
  parallelism?: number;
  delay?: string;
  failure_action?: string;
  monitor?: string;
  max_failure_ratio?: number;
  order?: string;
}

export interface Network {
  name?: string;
  external?: boolean;
  driver?: string;
  driver_opts?: Record<string, string>;
  ipam?: { driver?: string; config?: { subnet?: string; gateway?: string }[] };
  internal?: boolean;
  attachable?: boolean;
  enable_ipv6?: boolean;
  labels?: Record<string, string>;
}

export interface Volume {
  name?: string;
  external?: boolean;
  driver?: string;
  driver_opts?: Record<string, string>;
  labels?: Record<string, string>;
}

/** A secret or a config: its data is a file's, a variable's, the text that stands there, or the cluster's already. */
export interface FileObject {
  name?: string;
  external?: boolean;
  file?: string;
  environment?: string;
  content?: string;
  labels?: Record<string, string>;
  driver?: string;
  driver_opts?: Record<string, string>;
  template_driver?: string;
}
