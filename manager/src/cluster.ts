import { type Clock, newId, type Random } from "@creel/shared";
import {
  Availability,
  type Cluster,
  type ClusterSpec,
  NodeRole,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import type { Identity } from "@creel/shared/tls";
import { DEFAULT_CERT_LIFE_MS, issue, newRequest, newRoot } from "./ca/authority.ts";
import { newToken } from "./ca/tokens.ts";
import { newUnlockKey } from "./ca/unlock-key.ts";
import { checkClusterSpec } from "./control/cluster.ts";
import { invalid } from "./control/names.ts";
import { parseCidr } from "./store/mod.ts";

const DEFAULT_POOL = ["10.0.0.0/8"];
const DEFAULT_SUBNET_SIZE = 24;
const DEFAULT_DATA_PATH_PORT = 4789;

/** What a user may say when a cluster is made; what is left out takes Docker's defaults. */
export interface NewClusterOptions {
  spec?: Partial<ClusterSpec>;
  defaultAddrPool?: string[];
  subnetSize?: number;
  dataPathPort?: number;
  availability?: Availability;
}

/** A cluster that exists nowhere yet, and the identity of its first node. */
export interface NewCluster {
  identity: Identity;
  cluster: Cluster;
  availability: Availability;
}

/** Makes the root, the tokens and the first node's certificate of a new cluster. */
export async function newCluster(
  options: NewClusterOptions,
  ports: { clock: Clock; random: Random },
): Promise<NewCluster> {
  const { clock, random } = ports;
  const spec = { ...DEFAULT_SPEC, ...options.spec };
  checkClusterSpec(spec);
  const pool = options.defaultAddrPool?.length ? options.defaultAddrPool : DEFAULT_POOL;
  const subnetSize = options.subnetSize || DEFAULT_SUBNET_SIZE;
  checkPool(pool, subnetSize);
  const dataPathPort = options.dataPathPort || DEFAULT_DATA_PATH_PORT;
  if (dataPathPort < 1024 || dataPathPort > 49_151)
    throw invalid(`data path port ${dataPathPort} is not between 1024 and 49151`);
  const clusterId = newId(random);
  const nodeId = newId(random);
  const now = clock.now();
  const root = await newRoot(clusterId, now, random);
  const { key, csr } = await newRequest();
  const role = NodeRole.NODE_ROLE_MANAGER;
  const life = spec.nodeCertExpiry || DEFAULT_CERT_LIFE_MS;
  const certificate = await issue(root, csr, { nodeId, role, clusterId }, life, now, random);
  const rootPem = Buffer.from(root.certificate);
  return {
    identity: { nodeId, role, clusterId, certificate, key, root: root.certificate },
    availability: options.availability ?? Availability.AVAILABILITY_ACTIVE,
    cluster: {
      id: clusterId,
      meta: undefined,
      spec,
      rootCa: {
        certificate: rootPem,
        key: Buffer.from(root.key),
        workerToken: newToken(rootPem, random),
        managerToken: newToken(rootPem, random),
        rotation: undefined,
        workerTokenExpires: 0,
        managerTokenExpires: 0,
      },
      unlockKey: spec.autolock ? newUnlockKey(random) : "",
      defaultAddrPool: pool,
      subnetSize,
      dataPathPort,
      rebalance: undefined,
    },
  };
}

const DEFAULT_SPEC: ClusterSpec = {
  name: "default",
  labels: {},
  taskHistoryLimit: 5,
  snapshotInterval: 10_000,
  heartbeatPeriod: 5_000,
  nodeCertExpiry: DEFAULT_CERT_LIFE_MS,
  autolock: false,
  logDriver: undefined,
  oldSnapshots: 0,
  forceRotate: 0,
};

function checkPool(pool: string[], subnetSize: number): void {
  if (subnetSize < 1 || subnetSize > 29) throw invalid(`subnet size ${subnetSize} is not between 1 and 29`);
  for (const range of pool) {
    const parsed = parseCidr(range);
    if (!parsed) throw invalid(`invalid default address pool ${range}: an IPv4 CIDR is needed`);
    if (parsed.size > subnetSize) {
      throw invalid(`default address pool ${range} is smaller than one subnet of size /${subnetSize}`);
    }
  }
}
