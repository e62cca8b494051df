import type { AllocateNetwork } from "@creel/shared/gen/cluster/v1/actions.ts";
import type { Network } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type Cidr, formatCidr, formatIp, overlaps, parseCidr, type StoreView } from "../../store/mod.ts";

const FIRST_VNI = 4096;
const LAST_VNI = 2 ** 24 - 1;
const DEFAULT_POOLS = ["10.0.0.0/8"];
const DEFAULT_SUBNET_SIZE = 24;

function isAllocated(network: Network): boolean {
  return network.vni !== 0 && network.subnet !== "";
}

/** VXLAN numbers and subnets for networks that have none; the ingress network comes first. */
export function allocateNetworks(view: StoreView): AllocateNetwork[] {
  const all = view.networks();
  const waiting = all.filter((n) => !isAllocated(n));
  if (waiting.length === 0) return [];
  const vnis = new Set(all.map((n) => n.vni));
  const taken = all.flatMap((n) => parseCidr(n.subnet) ?? []);
  for (const network of waiting) {
    const wished = parseCidr(network.spec?.subnet ?? "");
    if (wished) taken.push(wished);
  }
  const first = (n: Network) => (n.spec?.ingress ? 0 : 1);
  waiting.sort((a, b) => first(a) - first(b) || (a.meta?.version ?? 0) - (b.meta?.version ?? 0));

  const done: AllocateNetwork[] = [];
  for (const network of waiting) {
    const wished = parseCidr(network.spec?.subnet ?? "");
    const range = wished ?? freeSubnet(view, taken);
    const vni = freeVni(vnis);
    if (!range || vni === undefined) continue;
    vnis.add(vni);
    taken.push(range);
    const gateway = network.spec?.gateway || formatIp((range.base + 1) | 0);
    done.push({ networkId: network.id, vni, subnet: formatCidr(range), gateway });
  }
  return done;
}

function freeVni(taken: Set<number>): number | undefined {
  for (let vni = FIRST_VNI; vni <= LAST_VNI; vni++) if (!taken.has(vni)) return vni;
  return undefined;
}

function freeSubnet(view: StoreView, taken: Cidr[]): Cidr | undefined {
  const { defaultAddrPool, subnetSize } = view.cluster();
  const size = subnetSize || DEFAULT_SUBNET_SIZE;
  for (const text of defaultAddrPool.length > 0 ? defaultAddrPool : DEFAULT_POOLS) {
    const pool = parseCidr(text);
    if (!pool || pool.size > size) continue;
    const step = 2 ** (32 - size);
    for (let i = 0; i < 2 ** (size - pool.size); ) {
      const range = { base: (pool.base + i * step) | 0, size };
      const obstacle = taken.find((t) => overlaps(t, range));
      if (!obstacle) return range;
      // Past a larger obstacle in one step.
      const span = obstacle.size < size ? 2 ** (size - obstacle.size) : 1;
      i = (Math.floor(i / span) + 1) * span;
    }
  }
  return undefined;
}
