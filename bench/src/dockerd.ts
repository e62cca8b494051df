import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { removeCgroups } from "../../tools/src/lab/cgroups.ts";
import { MEMORY } from "../../tools/src/lab/lab.ts";
import { Rest } from "../../tools/src/rest.ts";
import type { Cleanup } from "./cleanup.ts";
import { type PeerHost, PeerNetwork, tail } from "./host.ts";
import { find } from "./peers.ts";

const READY_MS = 60_000;

/** Debian's dockerd and containerd on a host of their own, with data on the same disk as Creel's. */
export interface Dockerd {
  socket: string;
  rest: Rest;
  host: PeerHost;
}

/** Starts it in `dir`, its exec root in memory as the lab's are; resolves when it answers. */
export async function startDockerd(dir: string, cleanup: Cleanup): Promise<Dockerd> {
  mkdirSync(dir, { recursive: true });
  const at = (name: string) => join(dir, name);
  const socket = at("d.sock");
  const log = at("dockerd.log");
  const network = new PeerNetwork(cleanup);
  const cgroup = `creel-bench-${network.name}`;
  // Undone in reverse: the host ends first, then its cgroups and files go.
  cleanup.add(`files in ${dir}`, () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  cleanup.add(`cgroup ${cgroup}`, () => removeCgroups(cgroup));
  const execRoot = join(MEMORY, cgroup);
  cleanup.add(`files in ${execRoot}`, () =>
    rmSync(execRoot, { recursive: true, force: true, maxRetries: 5 }),
  );
  const crun = find("crun");
  const command = [
    find("dockerd")!,
    ["--data-root", at("data"), "--exec-root", execRoot, "--pidfile", at("pid")],
    ["--host", `unix://${socket}`, "--cgroup-parent", `/${cgroup}`, "--log-level", "warn"],
    crun === undefined ? [] : ["--add-runtime", `crun=${crun}`],
  ].flat();
  const host = network.host(command, log);
  const rest = new Rest(socket);
  const until = Date.now() + READY_MS;
  for (;;) {
    const error = await rest.call("GET", "/_ping", undefined, 2000).then(
      () => undefined,
      (e: Error) => e,
    );
    if (error === undefined) return { socket, rest, host };
    if (Date.now() > until) throw new Error(`dockerd does not answer; the end of its log:\n${tail(log)}`);
    await delay(50);
  }
}
