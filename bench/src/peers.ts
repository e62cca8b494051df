import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Programs that Creel is compared with, and Debian's packages of them. */
const PACKAGES = {
  docker: "docker.io",
  dockerd: "docker.io",
  containerd: "containerd",
  "docker-proxy": "docker.io",
  podman: "podman",
  runc: "runc",
  crun: "crun",
  haproxy: "haproxy",
  etcd: "etcd-server",
  ip: "iproute2",
  nft: "nftables",
} as const;

/** Those that Debian has no package of, and how cargo installs them: by version, with the parts that need no C library. */
const CRATES = {
  youki: ["youki@=0.7.0", "--no-default-features", "--features", "v1,v2"],
} as const;

export type Peer = keyof typeof PACKAGES | keyof typeof CRATES;

/** Programs that cargo has built for the benches. */
const BUILT = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "creel-bench");

/** Where a program is, or undefined. */
export function find(program: Peer): string | undefined {
  return `${process.env.PATH ?? ""}:/usr/sbin:/sbin:${join(BUILT, "bin")}`
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
  return `not installed, so not compared with: ${peers.join(", ")} (--install-peers installs them)`;
}

/** Installs what is missing: Debian's packages, none of whose services is started, and programs that cargo builds. */
export function install(wanted: readonly Peer[]): void {
  const packages = new Set<string>();
  for (const peer of missing(wanted)) {
    if (peer in CRATES) build(CRATES[peer as keyof typeof CRATES]);
    else packages.add(PACKAGES[peer as keyof typeof PACKAGES]);
  }
  if (packages.size > 0) installPackages([...packages]);
}

function build(crate: readonly string[]): void {
  const args = ["install", "--locked", "--quiet", "--root", BUILT, ...crate];
  const { status, error } = spawnSync("cargo", args, { stdio: "inherit" });
  if (status !== 0) throw new Error(`cargo ${args.join(" ")} failed: ${error?.message ?? "see above"}`);
}

function installPackages(packages: string[]): void {
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
