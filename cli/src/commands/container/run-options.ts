import type { Command } from "commander";
import {
  cpus,
  duration,
  expose,
  integer,
  list,
  type Port,
  publish,
  size,
  sizeOrNone,
  switches,
  whole,
} from "../options.ts";

/** What `run` and `create` can be given. */
export interface RunOptions {
  name?: string;
  detach?: boolean;
  attach?: string[];
  interactive?: boolean;
  tty?: boolean;
  rm?: boolean;
  init?: boolean;
  detachKeys?: string;
  sigProxy?: boolean;
  cidfile?: string;
  pull?: string;
  platform?: string;
  publish?: Port[];
  publishAll?: boolean;
  expose?: string[];
  env?: string[];
  envFile?: string[];
  label?: string[];
  labelFile?: string[];
  annotation?: string[];
  volume?: string[];
  volumesFrom?: string[];
  volumeDriver?: string;
  mount?: string[];
  tmpfs?: string[];
  storageOpt?: string[];
  entrypoint?: string;
  hostname?: string;
  domainname?: string;
  user?: string;
  groupAdd?: string[];
  workdir?: string;
  network?: string[];
  networkAlias?: string[];
  ip?: string;
  macAddress?: string;
  readOnly?: boolean;
  privileged?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  securityOpt?: string[];
  sysctl?: string[];
  ulimit?: string[];
  device?: string[];
  deviceCgroupRule?: string[];
  gpus?: string;
  pid?: string;
  ipc?: string;
  uts?: string;
  userns?: string;
  cgroupns?: string;
  cgroupParent?: string;
  runtime?: string;
  memory?: number;
  memoryReservation?: number;
  memorySwap?: number;
  memorySwappiness?: number;
  oomKillDisable?: boolean;
  oomScoreAdj?: number;
  shmSize?: number;
  cpus?: number;
  cpuShares?: number;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuRtPeriod?: number;
  cpuRtRuntime?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  blkioWeight?: number;
  blkioWeightDevice?: string[];
  deviceReadBps?: string[];
  deviceWriteBps?: string[];
  deviceReadIops?: string[];
  deviceWriteIops?: string[];
  pidsLimit?: number;
  restart?: string;
  stopSignal?: string;
  stopTimeout?: number;
  healthcheck?: boolean;
  healthCmd?: string;
  healthInterval?: number;
  healthTimeout?: number;
  healthRetries?: number;
  healthStartPeriod?: number;
  healthStartInterval?: number;
  dns?: string[];
  dnsOption?: string[];
  dnsSearch?: string[];
  addHost?: string[];
  logDriver?: string;
  logOpt?: string[];
}

/** Gives a command the arguments and options of `docker run`. */
export function runOptions(command: Command): Command {
  command
    .argument("<image>")
    .argument("[command...]")
    .passThroughOptions()
    .option("--name <name>", "its name")
    .option("-a, --attach <stream>", "stdin, stdout or stderr: only these", list)
    .option("-i, --interactive", "hand it standard input")
    .option("-t, --tty", "give it a terminal")
    .option("--detach-keys <keys>", "the keys that leave it running (ctrl-p,ctrl-q)")
    .option("--cidfile <file>", "write its id there; the file must not exist")
    .option("--rm", "remove it when it has ended")
    .option("--init", "a small init as its first process")
    .option("--pull <when>", "always, missing or never: what to do for an image that is not here")
    .option("--platform <platform>", "the image's, as OS/ARCH[/VARIANT]");
  files(command);
  network(command);
  confinement(command);
  limits(command);
  life(command);
  switches(command, "init", "interactive", "tty", "rm", "read-only", "privileged", "publish-all");
  return command.helpOption("--help", "display help for command");
}

function files(command: Command): void {
  command
    .option("-e, --env <name=value>", "an environment variable", list)
    .option("--env-file <file>", "environment variables, one a line", list)
    .option("-l, --label <key=value>", "a label", list)
    .option("--label-file <file>", "labels, one a line", list)
    .option("--annotation <key=value>", "a note for the OCI runtime", list)
    .option("-v, --volume <source:target[:ro]>", "a folder or a volume", list)
    .option("--volumes-from <container[:ro]>", "the volumes of another container", list)
    .option("--volume-driver <driver>", "the driver of its volumes")
    .option("--mount <mount>", "type=bind|volume|tmpfs,source=…,target=…[,readonly]", list)
    .option("--tmpfs <path[:options]>", "a file system in memory", list)
    .option("--storage-opt <name=value>", "an option of the storage driver", list)
    .option("--read-only", "nothing may be written to its root")
    .option("--entrypoint <command>", "instead of the image's")
    .option("-w, --workdir <dir>", "the working directory");
}

function network(command: Command): void {
  command
    .option(
      "--net, --network <network>",
      "a network it joins: a name, or name=…[,alias=…][,ip=…][,mac-address=…]",
      list,
    )
    .option("--network-alias <name>", "another name there", list)
    .option("--ip <address>", "its address there")
    .option("--mac-address <address>", "its hardware address there")
    .option("-p, --publish <port>", "[HOST_IP:][PORT[-PORT]:]TARGET[/PROTOCOL]", publish)
    .option("-P, --publish-all", "publish all exposed ports")
    .option("--expose <port>", "a port that others may be told of", expose)
    .option("-h, --hostname <name>", "its hostname")
    .option("--domainname <name>", "its domain name")
    .option("--dns <address>", "a name server", list)
    .option("--dns-opt, --dns-option <option>", "an option of resolv.conf", list)
    .option("--dns-search <domain>", "a search domain", list)
    .option("--add-host <name:address>", "a line of /etc/hosts", list);
}

function confinement(command: Command): void {
  command
    .option("-u, --user <user>", "user or id, with an optional group")
    .option("--group-add <group>", "another group of its processes", list)
    .option("--privileged", "all capabilities and devices")
    .option("--cap-add <capability>", "one capability more", list)
    .option("--cap-drop <capability>", "one capability less", list)
    .option("--security-opt <option>", "seccomp=…, no-new-privileges", list)
    .option("--sysctl <name=value>", "a kernel parameter of its namespaces", list)
    .option("--ulimit <name=soft[:hard]>", "a limit of its processes", list)
    .option("--device <host[:container][:rwm]>", "a device of the host", list)
    .option("--device-cgroup-rule <rule>", "devices that it may make and use: 'c 10:229 rwm'", list)
    .option("--gpus <gpus>", "GPUs, by a device driver")
    .option("--pid <mode>", "processes: host or container:NAME")
    .option("--ipc <mode>", "IPC: none, private, shareable, host or container:NAME")
    .option("--uts <mode>", "host name: host")
    .option("--userns <mode>", "users: host")
    .option("--cgroupns <mode>", "view of the cgroups: host or private")
    .option("--cgroup-parent <cgroup>", "the cgroup that its own is below")
    .option("--runtime <name>", "the OCI runtime that makes it");
}

function limits(command: Command): void {
  command
    .option("-m, --memory <bytes>", "at most so much memory", size)
    .option("--memory-reservation <bytes>", "so much when memory is short", size)
    .option("--memory-swap <bytes>", "at most so much memory and swap; -1: no limit of swap", sizeOrNone)
    .option("--memory-swappiness <n>", "how readily it is swapped out, 0 to 100", integer)
    .option("--oom-kill-disable", "at the memory limit its processes wait")
    .option("--oom-score-adj <n>", "likelihood of being killed when memory is short, -1000 to 1000", integer)
    .option("--shm-size <bytes>", "the size of /dev/shm", size)
    .option("--cpus <cores>", "at most so many cores", cpus)
    .option("-c, --cpu-shares <n>", "its weight against others", whole)
    .option("--cpu-period <µs>", "the period of --cpu-quota", whole)
    .option("--cpu-quota <µs>", "processor time in a period", integer)
    .option("--cpu-rt-period <µs>", "the period of --cpu-rt-runtime", whole)
    .option("--cpu-rt-runtime <µs>", "real-time processor time in a period", whole)
    .option("--cpuset-cpus <cpus>", "only on these (0-3,5)")
    .option("--cpuset-mems <nodes>", "only memory of these nodes")
    .option("--blkio-weight <n>", "its weight for block I/O, 10 to 1000", whole)
    .option("--blkio-weight-device <device:weight>", "the same for one device", list)
    .option("--device-read-bps <device:bytes>", "read at most so much a second", list)
    .option("--device-write-bps <device:bytes>", "write at most so much a second", list)
    .option("--device-read-iops <device:n>", "at most so many reads a second", list)
    .option("--device-write-iops <device:n>", "at most so many writes a second", list)
    .option("--pids-limit <n>", "at most so many processes; -1: no limit", integer);
}

function life(command: Command): void {
  command
    .option("--restart <policy>", "no, on-failure[:N], always, unless-stopped")
    .option("--stop-signal <signal>", "instead of the image's")
    .option("--stop-timeout <seconds>", "between the stop signal and SIGKILL", integer)
    .option("--health-cmd <command>", "tells whether it is healthy")
    .option("--health-interval <duration>", "between two checks", duration)
    .option("--health-timeout <duration>", "one check's time", duration)
    .option("--health-start-period <duration>", "failures that do not count at first", duration)
    .option("--health-start-interval <duration>", "between two checks in that time", duration)
    .option("--health-retries <n>", "failures one after another until it is unhealthy", whole)
    .option("--no-healthcheck", "not the image's health check either")
    .option("--log-driver <driver>", "where its output is kept")
    .option("--log-opt <name=value>", "an option of the log driver", list);
}
