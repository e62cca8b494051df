import assert from "node:assert/strict";
import { cgroupOf, limits } from "./cgroup.ts";
import { type Check, docker, get, until } from "./tools.ts";

const PORT = 8080;

/** Names of the two replicas' containers, once both run. */
export async function replicas(): Promise<string[]> {
  return until("two replicas", async () => {
    const names = (await docker("ps", "--filter", "name=web.", "--format", "{{.Names}}"))
      .split("\n")
      .filter(Boolean);
    return names.length === 2 && names.sort();
  });
}

/** Who answers at the service's port: the hosts' names. */
export async function answering(requests = 8): Promise<Set<string>> {
  const hosts = new Set<string>();
  for (let i = 0; i < requests; i++) {
    const answer = await get(`http://10.0.2.15:${PORT}/`);
    hosts.add(/^hostname:?\s*(\S+)/im.exec(answer)?.[1] ?? answer);
  }
  return hosts;
}

export const serviceChecks: Check[] = [
  {
    name: "this machine becomes a cluster",
    async check() {
      const said = await docker("swarm", "init", "--advertise-addr", "10.0.2.15");
      assert.match(said, /is now a manager/);
      await until("ready", async () => (await docker("node", "ls", "--format", "{{.Status}}")) === "Ready");
    },
  },
  {
    name: "a service of two replicas answers at its published port",
    async check() {
      const limits = ["--limit-memory", "32m", "--limit-cpu", "0.5", "--limit-pids", "50"];
      await docker(
        "service",
        "create",
        "--name",
        "web",
        "--replicas",
        "2",
        "--publish",
        `${PORT}:8080`,
        ...limits,
        "whoami",
      );
      await replicas();
      await until("both answer", async () => (await answering()).size === 2);
    },
  },
  {
    name: "a service's limits are in its tasks' cgroups",
    async check() {
      for (const name of await replicas()) {
        const { memory, cpu, pids } = limits(await cgroupOf(name));
        assert.deepEqual([memory, cpu, pids], ["33554432", "50000 100000", "50"]);
      }
    },
  },
];
