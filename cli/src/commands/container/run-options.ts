import type { Command } from "commander";
import { cpus, list, type Port, publish, size, whole } from "../options.ts";

/** What `run` and `create` can be given. */
export interface RunOptions {
  name?: string;
  detach?: boolean;
  interactive?: boolean;
  tty?: boolean;
  rm?: boolean;
  init?: boolean;
  detachKeys?: string;
  publish?: Port[];
  publishAll?: boolean;
  expose?: string[];
  env?: string[];
  envFile?: string[];
  label?: string[];
  labelFile?: string[];
  volume?: string[];
  mount?: string[];
  tmpfs?: string[];
  entrypoint?: string;
  hostname?: string;
  user?: string;
  groupAdd?: string[];
  workdir?: string;
  network?: string;
  networkAlias?: string[];
  readOnly?: boolean;
  privileged?: boolean;
  capAdd?: string[];
  capDrop?: string[];
  securityOpt?: string[];
  sysctl?: string[];
  ulimit?: string[];
  memory?: number;
  shmSize?: number;
  cpus?: number;
  cpuShares?: number;
  cpusetCpus?: string;
  pidsLimit?: number;
  restart?: string;
  stopSignal?: string;
  stopTimeout?: number;
  dns?: string[];
  dnsSearch?: string[];
  addHost?: string[];
  logDriver?: string;
  logOpt?: string[];
}

/** Gives a command the arguments and options of `docker run`. */
export function runOptions(command: Command): Command {
  return command
    .argument("<image>")
    .argument("[command...]")
    .passThroughOptions()
    .option("--name <name>", "its name")
    .option("-i, --interactive", "hand it standard input")
    .option("-t, --tty", "give it a terminal")
    .option("--detach-keys <keys>", "the keys that leave it running (ctrl-p,ctrl-q)")
    .option("--rm", "remove it when it has ended")
    .option("--init", "a small init as its first process")
    .option("-p, --publish <port>", "[HOST_IP:][PORT:]TARGET[/PROTOCOL]", publish)
    .option("-P, --publish-all", "publish all exposed ports")
    .option("--expose <port>", "a port that others may be told of", list)
    .option("-e, --env <name=value>", "an environment variable", list)
    .option("--env-file <file>", "environment variables, one a line", list)
    .option("-l, --label <key=value>", "a label", list)
    .option("--label-file <file>", "labels, one a line", list)
    .option("-v, --volume <source:target[:ro]>", "a folder or a volume", list)
    .option("--mount <mount>", "type=bind|volume|tmpfs,source=…,target=…[,readonly]", list)
    .option("--tmpfs <path[:options]>", "a file system in memory", list)
    .option("--entrypoint <command>", "instead of the image's")
    .option("-h, --hostname <name>", "its hostname")
    .option("-u, --user <user>", "user or id, with an optional group")
    .option("--group-add <group>", "another group of its processes", list)
    .option("-w, --workdir <dir>", "the working directory")
    .option("--net, --network <network>", "the network it joins")
    .option("--network-alias <name>", "another name there", list)
    .option("--read-only", "nothing may be written to its root")
    .option("--privileged", "all capabilities and devices")
    .option("--cap-add <capability>", "one capability more", list)
    .option("--cap-drop <capability>", "one capability less", list)
    .option("--security-opt <option>", "seccomp=…, no-new-privileges", list)
    .option("--sysctl <name=value>", "a kernel parameter of its namespaces", list)
    .option("--ulimit <name=soft[:hard]>", "a limit of its processes", list)
    .option("-m, --memory <bytes>", "at most so much memory", size)
    .option("--shm-size <bytes>", "the size of /dev/shm", size)
    .option("--cpus <cores>", "at most so many cores", cpus)
    .option("--cpu-shares <n>", "its weight against others", whole)
    .option("--cpuset-cpus <cpus>", "only on these (0-3,5)")
    .option("--pids-limit <n>", "at most so many processes", whole)
    .option("--restart <policy>", "no, on-failure[:N], always, unless-stopped")
    .option("--stop-signal <signal>", "instead of the image's")
    .option("--stop-timeout <seconds>", "between the stop signal and SIGKILL", whole)
    .option("--dns <address>", "a name server", list)
    .option("--dns-search <domain>", "a search domain", list)
    .option("--add-host <name:address>", "a line of /etc/hosts", list)
    .option("--log-driver <driver>", "where its output is kept")
    .option("--log-opt <name=value>", "an option of the log driver", list)
    .helpOption("--help", "display help for command");
}
