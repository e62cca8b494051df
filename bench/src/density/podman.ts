import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { removeCgroups } from "../../../tools/src/lab/cgroups.ts";
import type { Cleanup } from "../cleanup.ts";
import { PeerNetwork } from "../host.ts";
import { find } from "../peers.ts";

/** Debian's podman on a host of its own. */
export interface Podman {
  /** The host's process 1, as seen from outside. */
  pid: number;
  /** Starts so many idle containers of an image, one after another. */
  start(image: string, count: number): void;
}

/** Podman with its data in `dir` and this image loaded. It has no daemon: each container has a conmon. */
export function startPodman(dir: string, image: Buffer, cleanup: Cleanup): Podman {
  mkdirSync(dir, { recursive: true });
  const network = new PeerNetwork(cleanup);
  const cgroup = `creel-bench-${network.name}`;
  cleanup.add(`files in ${dir}`, () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  cleanup.add(`cgroup ${cgroup}`, () => removeCgroups(cgroup));
  const host = network.host(["/bin/sleep", "1000000"], join(dir, "host.log"));
  const roots = ["--root", join(dir, "data"), "--runroot", join(dir, "run"), "--tmpdir", join(dir, "tmp")];
  // crun, podman's default, does not work where both versions of cgroups are in use
  const runtime = find("runc") === undefined ? [] : ["--runtime", find("runc")!];
  const options = [...roots, ...runtime, "--cgroup-manager", "cgroupfs", "--events-backend", "none"];
  const podman = [find("podman")!, ...options];
  const archive = join(dir, "image.tar");
  writeFileSync(archive, image);
  host.exec([...podman, "load", "-i", archive]);
  return {
    pid: host.pid,
    start(name, count) {
      const run = ["run", "-d", "--network", "none", "--cgroup-parent", `/${cgroup}`, "--log-driver"];
      for (let i = 0; i < count; i++) host.exec([...podman, ...run, "k8s-file", name, "serve", "8080"]);
    },
  };
}
