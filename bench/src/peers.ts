import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs that Creel is compared with, and Debian's packages of them. */
const PEERS = {
  docker: "docker.io",
  dockerd: "docker.io",
  containerd: "containerd",
  "docker-proxy": "docker.io",
  runc: "runc",
  crun: "crun",
  haproxy: "haproxy",
  etcd: "etcd-server",
  ip: "iproute2",
  nft: "nftables",
} as const;

export type Peer = keyof typeof PEERS;

/** Where a program is, or undefined. */
export function find(program: Peer): string | undefined {
  return `${process.env.PATH ?? ""}:/usr/sbin:/sbin`
    .split(delimiter)
    .map((dir) => join(dir, program))
    .find(existsSync);
}

/** Those of `wanted` that are not on this machine. */
export function missing(wanted: readonly Peer[]): Peer[] {
  return wanted.filter((peer) => find(peer) === undefined);
}

/** A sentence that names what is missing and how to get it. */
export function missingSentence(peers: Peer[]): string {
  return `not installed, so not compared with: ${peers.join(", ")} (--install-peers installs Debian's)`;
}

/** Installs Debian's packages of what is missing; starts none of their services. */
export function install(wanted: readonly Peer[]): void {
  const packages = [...new Set(missing(wanted).map((peer) => PEERS[peer]))];
  if (packages.length === 0) return;
  if (spawnSync("apt-get", ["--version"]).error !== undefined)
    throw new Error(`apt-get is missing: install ${packages.join(", ")} by this machine's own means`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  // dpkg asks policy-rc.d before it starts a service; the machine's own is put back afterwards.
  const policy = "/usr/sbin/policy-rc.d";
  const script = `
    set -e
    [ ! -e ${policy} ] || cp -a ${policy} ${policy}.creel-bench
    restore() { if [ -e ${policy}.creel-bench ]; then mv ${policy}.creel-bench ${policy}; else rm -f ${policy}; fi; }
    trap restore EXIT
    printf '#!/bin/sh\\nexit 101\\n' > ${policy}; chmod 755 ${policy}
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"`;
  const result = spawnSync("sh", ["-c", script, "sh", ...packages], { stdio: "inherit", env });
  if (result.status !== 0) throw new Error(`installing ${packages.join(", ")} failed: see above`);
}
