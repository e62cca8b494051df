import { arch } from "node:os";
import type { Node } from "../cluster.ts";
import { NodeRole } from "../cluster.ts";
import type { ApiContext } from "../context.ts";
import { toNodeGeneric } from "./generic-resources.ts";
import { toCluster } from "./swarm.ts";

/** The answer of GET /info. */
export async function toInfo(context: ApiContext): Promise<Record<string, unknown>> {
  const { engine, facts, clock } = context;
  const [info, listed, swarm] = await Promise.all([
    engine.engine.info({}),
    engine.containers.list({ all: true, labels: {} }),
    swarmInfo(context),
  ]);
  const count = (...states: string[]) =>
    listed.containers.filter((container) => states.includes(container.state!.status)).length;
  const running = count("running", "restarting");
  const paused = count("paused");
  return {
    ID: facts.id,
    Containers: listed.containers.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: listed.containers.length - running - paused,
    Images: info.images,
    Driver: info.storageDriver,
    DriverStatus: Object.entries(info.storageStatus).sort(),
    Plugins: {
      Volume: ["local"],
      Network: ["bridge", "host", "none", "overlay"],
      Authorization: null,
      Log: info.logDrivers,
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    Debug: facts.debug,
    NFd: 0,
    OomKillDisable: info.cgroupVersion === "1",
    NGoroutines: 0,
    SystemTime: new Date(clock.now()).toISOString(),
    LoggingDriver: info.logDriver,
    CgroupDriver: info.cgroupDriver,
    CgroupVersion: info.cgroupVersion,
    NEventsListener: 0,
    KernelVersion: info.kernelVersion,
    OperatingSystem: info.operatingSystem,
    OSVersion: "",
    OSType: info.osType,
    Architecture: info.architecture || arch(),
    IndexServerAddress: "https://index.docker.io/v1/",
    RegistryConfig: {
      InsecureRegistryCIDRs: [],
      IndexConfigs: {},
      Mirrors: [],
    },
    NCPU: info.cpus,
    MemTotal: info.memoryBytes,
    GenericResources: toNodeGeneric(facts.genericResources) ?? null,
    DockerRootDir: info.dataRoot,
    HttpProxy: "",
    HttpsProxy: "",
    NoProxy: "",
    Name: context.hostname(),
    Labels: facts.labels,
    ExperimentalBuild: false,
    ServerVersion: facts.version,
    Runtimes: Object.fromEntries(info.runtimes.map((name) => [name, { path: name }])),
    DefaultRuntime: info.runtimes[0] ?? "creel",
    Swarm: swarm,
    LiveRestoreEnabled: true,
    Isolation: "",
    InitBinary: "creel-init",
    ContainerdCommit: { ID: "" },
    RuncCommit: { ID: "" },
    InitCommit: { ID: "" },
    SecurityOptions: info.securityOptions,
    CDISpecDirs: [],
    Warnings: info.warnings.length > 0 ? info.warnings : null,
  };
}

async function swarmInfo({ cluster }: ApiContext): Promise<Record<string, unknown>> {
  const state = cluster.localState();
  const remote = cluster.remoteManagers().map(({ nodeId, addr }) => ({ NodeID: nodeId, Addr: addr }));
  const swarm: Record<string, unknown> = {
    NodeID: cluster.nodeId(),
    NodeAddr: cluster.nodeAddr(),
    LocalNodeState: state,
    ControlAvailable: false,
    Error: cluster.error(),
    RemoteManagers: remote.length > 0 ? remote : null,
  };
  if (state !== "active" || !cluster.isManager()) return swarm;
  swarm.ControlAvailable = true;
  try {
    const view = await cluster.view();
    const nodes: Node[] = view.nodes();
    swarm.Nodes = nodes.length;
    swarm.Managers = nodes.filter((node) => node.spec?.role === NodeRole.NODE_ROLE_MANAGER).length;
    swarm.Cluster = toCluster(view.cluster());
  } catch (error) {
    swarm.Error = (error as Error).message;
  }
  return swarm;
}
