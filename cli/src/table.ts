import type { Describe } from "./program.ts";

/** One command: what is said of it in a list, and the file that has the rest. */
export interface Entry {
  name: string;
  summary: string;
  alias?: string;
  hidden?: boolean;
  load(): Promise<Describe>;
}

export interface Group {
  name: string;
  summary: string;
  commands: (Entry | Group)[];
}

const entry = (name: string, summary: string, load: Entry["load"], alias?: string): Entry => ({
  name,
  summary,
  load,
  ...(alias !== undefined && { alias }),
});

const container = {
  list: () => import("./commands/container/list.ts"),
  life: () => import("./commands/container/life.ts"),
  run: () => import("./commands/container/run.ts"),
  exec: () => import("./commands/container/exec.ts"),
  files: () => import("./commands/container/files.ts"),
  cp: () => import("./commands/container/cp/cp.ts"),
  stats: () => import("./commands/container/stats.ts"),
  top: () => import("./commands/container/top.ts"),
  update: () => import("./commands/container/update.ts"),
  logs: () => import("./commands/container/logs.ts"),
  inspect: () => import("./commands/container/inspect.ts"),
};
const image = {
  list: () => import("./commands/image/list.ts"),
  images: () => import("./commands/image/images.ts"),
  archive: () => import("./commands/image/archive.ts"),
};
const networks = () => import("./commands/network/networks.ts");
const volumes = () => import("./commands/volume/volumes.ts");
const nodes = () => import("./commands/node/nodes.ts");
const services = () => import("./commands/service/services.ts");
const data = () => import("./commands/data/data.ts");
const swarm = () => import("./commands/swarm/swarm.ts");
const swarmCa = () => import("./commands/swarm/ca.ts");
const swarmLock = () => import("./commands/swarm/lock.ts");
const swarmSettings = () => import("./commands/swarm/settings.ts");
const planning = () => import("./commands/plan/planned.ts");
const whys = () => import("./commands/why/why.ts");
const contexts = () => import("./commands/context/contexts.ts");
const stacks = () => import("./commands/stack/stacks.ts");
const stackDeploy = () => import("./commands/stack/deploy.ts");
const cluster = () => import("./commands/cluster/cluster.ts");

/** The commands of secrets, and those of configs. */
const dataGroup = (name: "secret" | "config", summary: string): Group => ({
  name,
  summary,
  commands: [
    entry("create", `make a ${name} of a file or of standard input`, async () => (await data()).create(name)),
    entry("inspect", `show all that is known of ${name}s`, async () => (await data()).inspect(name)),
    entry("ls", `list ${name}s`, async () => (await import("./commands/data/list.ts")).ls(name), "list"),
    entry("rm", `remove ${name}s that no service names`, async () => (await data()).rm(name), "remove"),
    entry("rotate", `give a ${name} a new value, and bring its services to it`, async () =>
      (await import("./commands/data/rotate.ts")).rotate(name),
    ),
    entry("update", `change a ${name}'s labels`, async () => (await data()).update(name)),
  ],
});

/** Those that Docker has both by themselves and below `container`. */
const containerVerbs: Entry[] = [
  entry("attach", "join a running container's input and output", async () => (await container.run()).attach),
  entry("commit", "make an image of a container", async () => (await container.files()).commit),
  entry("cp", "copy files into a container, or out of it", async () => (await container.cp()).cp),
  entry("create", "make a container", async () => (await container.run()).create),
  entry("diff", "show what a container changed of its image", async () => (await container.files()).diff),
  entry("exec", "run a command in a running container", async () => (await container.exec()).exec),
  entry(
    "export",
    "write a container's files to an archive",
    async () => (await container.files()).exportFiles,
  ),
  entry("kill", "send containers a signal", async () => (await container.life()).kill),
  entry("logs", "show what a container wrote", async () => (await container.logs()).logs),
  entry("pause", "halt all processes of containers", async () => (await container.life()).pause),
  entry("port", "show where a container's ports are published", async () => (await container.inspect()).port),
  entry("rename", "give a container another name", async () => (await container.life()).rename),
  entry("restart", "stop containers and start them again", async () => (await container.life()).restart),
  entry("rm", "remove containers", async () => (await container.life()).rm),
  entry("run", "make a container and run it", async () => (await container.run()).run),
  entry("start", "start containers", async () => (await container.run()).start),
  entry("stats", "show what containers use", async () => (await container.stats()).stats),
  entry("stop", "stop containers: the stop signal, then SIGKILL", async () => (await container.life()).stop),
  entry("top", "list the processes of a container", async () => (await container.top()).top),
  entry("unpause", "let halted containers go on", async () => (await container.life()).unpause),
  entry(
    "update",
    "change limits and restart policies of containers",
    async () => (await container.update()).update,
  ),
  entry(
    "wait",
    "wait for containers to end, and print their exit codes",
    async () => (await container.life()).wait,
  ),
];
const imageVerbs: Entry[] = [
  entry("history", "list the layers of an image", async () => (await image.list()).history),
  entry(
    "import",
    "make an image of a file system in a tar archive",
    async () => (await image.archive()).importImage,
  ),
  entry("load", "take images from an archive", async () => (await image.archive()).load),
  entry("save", "write images to an archive", async () => (await image.archive()).save),
  entry("tag", "give an image another name", async () => (await image.images()).tag),
];
const info = entry(
  "info",
  "show the daemon, its machine and its cluster",
  async () => (await import("./commands/system/info.ts")).info,
);
const events = entry(
  "events",
  "show what happens, as it happens",
  async () => (await import("./commands/system/events.ts")).events,
);

/** Commands that stand by themselves. */
export const shortcuts: Entry[] = [
  ...containerVerbs,
  ...imageVerbs,
  entry("ps", "list containers", async () => (await container.list()).ls),
  entry("images", "list images", async () => (await image.list()).ls),
  entry("rmi", "remove images", async () => (await image.images()).rm),
  entry(
    "inspect",
    "show all that is known of anything with a name",
    async () => (await import("./commands/inspect.ts")).inspect,
  ),
  info,
  events,
  entry("up", "make the cluster run what a compose file says", async () => (await stackDeploy()).up),
  entry("down", "remove what a compose file made", async () => (await stackDeploy()).down),
  entry(
    "version",
    "show the versions of this command and of the daemon",
    async () => (await import("./commands/system/version.ts")).version,
  ),
  entry(
    "doctor",
    "check what this machine needs to be a node",
    async () => (await import("./commands/doctor/doctor.ts")).doctor,
  ),
  entry(
    "completion",
    "print a shell's completion script",
    async () => (await import("./commands/completion/completion.ts")).completion,
  ),
  {
    name: "__complete",
    summary: "words that may come next",
    hidden: true,
    load: async () => (await import("./commands/completion/candidates.ts")).candidates,
  },
].sort((a, b) => (a.name < b.name ? -1 : 1));

/** Commands below the kind of thing they are about. */
export const groups: Group[] = [
  {
    name: "cluster",
    summary: "the cluster's balance, and labs on this machine to try things in",
    commands: [
      entry("up", "make a lab", async () => (await cluster()).up),
      entry("ls", "list labs and their nodes", async () => (await cluster()).ls),
      entry("down", "end a lab, and leave nothing of it", async () => (await cluster()).down),
      entry(
        "rebalance",
        "move tasks to emptier nodes",
        async () => (await import("./commands/cluster/rebalance.ts")).rebalance,
      ),
    ],
  },
  dataGroup("config", "files that services are given, without making an image for each"),
  {
    name: "container",
    summary: "containers on one node",
    commands: [
      ...containerVerbs,
      entry("ls", "list containers", async () => (await container.list()).ls, "ps"),
      entry(
        "inspect",
        "show all that is known of containers",
        async () => (await container.inspect()).inspect,
      ),
      entry("prune", "remove all stopped containers", async () => (await container.life()).prune),
    ],
  },
  {
    name: "context",
    summary: "daemons by name, shared with docker",
    commands: [
      entry("create", "name a daemon", async () => (await contexts()).create),
      entry("inspect", "show all that is known of contexts", async () => (await contexts()).inspect),
      entry("ls", "list contexts", async () => (await contexts()).ls, "list"),
      entry("rm", "remove contexts", async () => (await contexts()).rm),
      entry("show", "print the current context's name", async () => (await contexts()).show),
      entry("use", "make a context the current one", async () => (await contexts()).use),
    ],
  },
  {
    name: "image",
    summary: "images on one node",
    commands: [
      ...imageVerbs,
      entry("ls", "list images", async () => (await image.list()).ls, "list"),
      entry("inspect", "show all that is known of images", async () => (await image.images()).inspect),
      entry("rm", "remove images", async () => (await image.images()).rm, "remove"),
      entry("prune", "remove images that nothing uses", async () => (await image.images()).prune),
    ],
  },
  {
    name: "network",
    summary: "networks between containers",
    commands: [
      entry("connect", "join a container to a network", async () => (await networks()).connect),
      entry("create", "make a network", async () => (await networks()).create),
      entry("disconnect", "take a container off a network", async () => (await networks()).disconnect),
      entry("inspect", "show all that is known of networks", async () => (await networks()).inspect),
      entry("ls", "list networks", async () => (await import("./commands/network/list.ts")).ls, "list"),
      entry("prune", "remove networks that nothing uses", async () => (await networks()).prune),
      entry("rm", "remove networks", async () => (await networks()).rm, "remove"),
    ],
  },
  {
    name: "node",
    summary: "the cluster's nodes",
    commands: [
      entry("demote", "make managers workers", async () => (await nodes()).demote),
      entry("inspect", "show all that is known of nodes", async () => (await nodes()).inspect),
      entry("ls", "list nodes", async () => (await import("./commands/node/list.ts")).ls, "list"),
      entry("promote", "make workers managers", async () => (await nodes()).promote),
      entry("ps", "list the tasks on nodes (default: this one)", async () => (await nodes()).ps),
      entry("rm", "remove nodes that are down from the cluster", async () => (await nodes()).rm, "remove"),
      entry("update", "change a node's role, availability or labels", async () => (await nodes()).update),
    ],
  },
  {
    name: "plan",
    summary: "what a change would do, before it is made",
    commands: [
      {
        name: "node",
        summary: "changes of nodes",
        commands: [
          entry("drain", "plan to take all tasks off nodes", async () => (await planning()).drain),
          entry("rm", "plan to remove nodes", async () => (await planning()).planned((await nodes()).rm)),
          entry("update", "plan a change of a node's role, availability or labels", async () =>
            (await planning()).planned((await nodes()).update),
          ),
        ],
      },
      entry("up", "plan what creel up would change", async () =>
        (await planning()).planned((await stackDeploy()).up),
      ),
      {
        name: "service",
        summary: "changes of services",
        commands: [
          entry("create", "plan a new service", async () =>
            (await planning()).planned((await services()).create),
          ),
          entry("rm", "plan to remove services", async () =>
            (await planning()).planned((await services()).rm),
          ),
          entry("rollback", "plan to give a service its spec before the last update", async () =>
            (await planning()).planned((await services()).rollback),
          ),
          entry("scale", "plan to change how many tasks services have", async () =>
            (await planning()).planned((await services()).scale),
          ),
          entry("update", "plan a change of a service", async () =>
            (await planning()).planned((await services()).update),
          ),
        ],
      },
    ],
  },
  dataGroup("secret", "values that only the tasks which name them see"),
  {
    name: "service",
    summary: "services: replicas kept running over the cluster",
    commands: [
      entry("create", "make a service", async () => (await services()).create),
      entry("inspect", "show all that is known of services", async () => (await services()).inspect),
      entry(
        "logs",
        "show what a service's (or one task's) containers wrote",
        async () => (await import("./commands/service/logs.ts")).logs,
      ),
      entry("ls", "list services", async () => (await import("./commands/service/list.ts")).ls, "list"),
      entry("ps", "list the tasks of services", async () => (await services()).ps),
      entry("rm", "remove services", async () => (await services()).rm, "remove"),
      entry("rollback", "go back to the spec before", async () => (await services()).rollback),
      entry("scale", "set how many replicas run", async () => (await services()).scale),
      entry("update", "change a service", async () => (await services()).update),
    ],
  },
  {
    name: "stack",
    summary: "services, networks, secrets and configs of a compose file",
    commands: [
      entry("config", "show what the files come to", async () => (await stacks()).config),
      entry(
        "deploy",
        "make the cluster run what the files say",
        async () => (await stackDeploy()).deploy,
        "up",
      ),
      entry("ls", "list stacks", async () => (await stacks()).ls, "list"),
      entry("ps", "list the tasks of a stack", async () => (await stacks()).ps),
      entry("rm", "remove stacks", async () => (await import("./commands/stack/remove.ts")).rm, "remove"),
      entry("services", "list the services of a stack", async () => (await stacks()).services),
    ],
  },
  {
    name: "swarm",
    summary: "make machines one cluster",
    commands: [
      entry("ca", "print or change the cluster's root certificate", async () => (await swarmCa()).ca),
      entry("init", "make a cluster of this machine", async () => (await swarm()).init),
      entry("join", "join a cluster", async () => (await swarm()).join),
      entry("join-token", "show the token that lets nodes join", async () => (await swarm()).joinToken),
      entry("leave", "leave the cluster", async () => (await swarm()).leave),
      entry("unlock", "unlock a manager that has started again", async () => (await swarmLock()).unlock),
      entry("unlock-key", "show the key that unlocks managers", async () => (await swarmLock()).unlockKey),
      entry("update", "change the cluster's settings", async () => (await swarmSettings()).update),
    ],
  },
  {
    name: "system",
    summary: "the daemon",
    commands: [
      info,
      events,
      entry(
        "prune",
        "remove what nothing uses",
        async () => (await import("./commands/system/prune.ts")).prune,
      ),
      entry("df", "show what takes how much disk", async () => (await import("./commands/system/df.ts")).df),
    ],
  },
  {
    name: "why",
    summary: "why something is as it is: its causes, the newest first",
    commands: [
      entry("node", "why a node takes no tasks, or lost them", async () => (await whys()).node),
      entry("service", "why a service does not run as wanted", async () => (await whys()).service),
      entry("task", "why a task is where and as it is", async () => (await whys()).task),
    ],
  },
  {
    name: "volume",
    summary: "data that outlives containers",
    commands: [
      entry("create", "make a volume", async () => (await volumes()).create),
      entry("inspect", "show all that is known of volumes", async () => (await volumes()).inspect),
      entry("ls", "list volumes", async () => (await volumes()).ls, "list"),
      entry("prune", "remove volumes that nothing uses", async () => (await volumes()).prune),
      entry("rm", "remove volumes", async () => (await volumes()).rm, "remove"),
    ],
  },
];
