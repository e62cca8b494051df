import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cleanup } from "../cleanup.ts";
import { PeerNetwork } from "../host.ts";
import { find } from "../peers.ts";

const ENTRY = "10.99.0.1";
const SERVER = "10.99.0.2";

/** ADDRESS:PORT of each way through the entry host that this machine can build. */
export interface Beside {
  snat?: string;
  haproxy?: string;
  dockerProxy?: string;
}

/**
 * What others would do with a published port, on the same path: client → entry host → VXLAN → a namespace on another
 * host, built with `ip`, and led there by nftables with SNAT, by haproxy, and by docker-proxy.
 */
export function buildBeside(dir: string, load: string, cleanup: Cleanup): Beside {
  const ip = find("ip");
  if (ip === undefined) return {};
  const network = new PeerNetwork(cleanup);
  const entry = network.host(["sleep", "infinity"], join(dir, "entry.log"));
  const other = network.host(["sleep", "infinity"], join(dir, "other.log"));
  const script = (host: typeof entry, text: string) => host.exec(["sh", "-ec", text]);
  // As Creel and Docker do it: the VXLAN device is made in the host's namespace and lives, with its bridge, in another.
  const overlay = (own: string, remote: string) => `
    namespace() { # runs the words in a namespace of their own, and waits until they are there
      unshare --net "$@" > /dev/null 2>&1 < /dev/null & pid=$!
      until [ "$(readlink /proc/$pid/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
    }
    within() { to=$1; shift; nsenter --net --target $to ${ip} "$@"; }
    namespace sleep infinity; overlay=$pid
    ${ip} link add vx0 type vxlan id 77 dstport 4789 local ${own} remote ${remote} nolearning
    ${ip} link set vx0 netns $overlay
    within $overlay link add br0 type bridge
    within $overlay link set vx0 mtu 1450 master br0 up
    within $overlay link set br0 mtu 1450 up
    ${ip} link add eth1 type veth peer name v0 netns $overlay
    within $overlay link set v0 mtu 1450 master br0 up
    echo 1 > /proc/sys/net/ipv4/ip_forward`;
  script(
    entry,
    `${overlay(entry.address, other.address)}
    ${ip} addr add ${ENTRY}/24 dev eth1
    ${ip} link set eth1 mtu 1450 up`,
  );
  script(
    other,
    `${overlay(other.address, entry.address)}
    namespace ${load} serve 8080
    ${ip} link set eth1 netns $pid
    within $pid addr add ${SERVER}/24 dev eth1
    within $pid link set eth1 mtu 1450 up
    within $pid link set lo up`,
  );
  const beside: Beside = {};
  if (find("nft")) {
    entry.exec(
      [find("nft")!, "-f", "-"],
      `table ip beside {
        chain in { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to ${SERVER}:8080; }
        chain out { type nat hook postrouting priority srcnat; ip daddr ${SERVER} masquerade; }
      }`,
    );
    beside.snat = `${entry.address}:8080`;
  }
  if (find("haproxy")) {
    const file = join(dir, "haproxy.cfg");
    writeFileSync(
      file,
      `defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen beside
  bind 0.0.0.0:8081
  server one ${SERVER}:8080
`,
    );
    script(entry, `${find("haproxy")} -f ${file} -db > ${join(dir, "haproxy.log")} 2>&1 < /dev/null &`);
    beside.haproxy = `${entry.address}:8081`;
  }
  if (find("docker-proxy")) {
    const from = ["-proto", "tcp", "-host-ip", "0.0.0.0", "-host-port", "8082"];
    const to = ["-container-ip", SERVER, "-container-port", "8080"];
    // It tells descriptor 3 that it is ready.
    script(
      entry,
      `${[find("docker-proxy"), ...from, ...to].join(" ")} 3> /dev/null > ${join(dir, "proxy.log")} 2>&1 < /dev/null &`,
    );
    beside.dockerProxy = `${entry.address}:8082`;
  }
  return beside;
}
