import { type ChildProcess, fork, spawn } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Cleanup } from "../cleanup.ts";
import { poll } from "../cluster.ts";
import { find } from "../peers.ts";

const MEMBERS = 3;

/** Three members on loopback, each a process, with their logs on the same disk. */
export interface Group {
  /** HOST:PORT for clients of the member that leads. */
  leader(): Promise<string>;
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.on("error", reject).listen(0, "127.0.0.1", resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Three members with node-raft-server; `drive` proposes within the leader's process. */
export async function startOurs(
  dir: string,
  cleanup: Cleanup,
): Promise<Group & { drive(inFlight: number, seconds: number): Promise<number> }> {
  const ports = await freePorts(2 * MEMBERS);
  const peers = ports.slice(MEMBERS).map((port, i) => ({ id: i + 1, address: `127.0.0.1:${port}` }));
  const leaders: number[] = [];
  const children = peers.map(({ id }, i) => {
    const home = join(dir, `member${id}`);
    mkdirSync(home, { recursive: true });
    const log = openSync(join(dir, `member${id}.log`), "a");
    const child = fork(
      join(import.meta.dirname, "member.ts"),
      [home, String(id), JSON.stringify(peers), String(ports[i])],
      {
        stdio: ["ignore", log, log, "ipc"],
      },
    );
    cleanup.add(`member ${id}`, () => end(child));
    child.on("message", (message: { leader?: number }) => {
      if (message.leader !== undefined) leaders[i] = message.leader;
    });
    return child;
  });
  const leading = () =>
    poll("a leader of our group", async () => {
      const dead = children.findIndex((child) => child.exitCode !== null);
      if (dead >= 0) throw new Error(`member ${dead + 1} ended with ${children[dead]!.exitCode}`);
      const agreed = leaders[0] !== 0 && peers.every((_, i) => leaders[i] === leaders[0]);
      return agreed ? leaders[0] : undefined;
    });
  return {
    leader: async () => `127.0.0.1:${ports[(await leading())! - 1]}`,
    drive: async (inFlight, seconds) => {
      const child = children[(await leading())! - 1]!;
      return new Promise((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error("the leader has not answered")),
          (seconds + 30) * 1000,
        );
        const onMessage = ({ perSecond, failed }: { perSecond?: number; failed?: string }) => {
          if (perSecond === undefined && failed === undefined) return;
          clearTimeout(late);
          child.off("message", onMessage);
          if (perSecond !== undefined) resolve(perSecond);
          else reject(new Error(`a proposal within the leader's process: ${failed}`));
        };
        child.on("message", onMessage);
        child.send({ inFlight, seconds });
      });
    },
  };
}

/** Three members of Debian's etcd. */
export async function startEtcd(dir: string, cleanup: Cleanup): Promise<Group> {
  const ports = await freePorts(2 * MEMBERS);
  const members = Array.from({ length: MEMBERS }, (_, i) => ({
    name: `m${i + 1}`,
    client: `127.0.0.1:${ports[2 * i]}`,
    peer: `127.0.0.1:${ports[2 * i + 1]}`,
  }));
  const cluster = members.map(({ name, peer }) => `${name}=http://${peer}`).join(",");
  for (const { name, client, peer } of members) {
    const home = join(dir, name);
    mkdirSync(home, { recursive: true });
    const log = openSync(join(dir, `${name}.log`), "a");
    const args = [
      ["--name", name, "--data-dir", home, "--logger", "zap", "--log-level", "error"],
      ["--listen-client-urls", `http://${client}`, "--advertise-client-urls", `http://${client}`],
      ["--listen-peer-urls", `http://${peer}`, "--initial-advertise-peer-urls", `http://${peer}`],
      ["--initial-cluster", cluster, "--initial-cluster-state", "new"],
    ].flat();
    const child = spawn(find("etcd")!, args, { stdio: ["ignore", log, log] });
    cleanup.add(`etcd ${name}`, () => end(child));
  }
  interface Status {
    leader?: string;
    header: { member_id: string };
  }
  const statusOf = async (client: string): Promise<Status | undefined> => {
    const url = `http://${client}/v3/maintenance/status`;
    const response = await fetch(url, {
      method: "POST",
      body: "{}",
      signal: AbortSignal.timeout(2000),
    }).catch(() => undefined);
    return response?.ok ? ((await response.json()) as Status) : undefined;
  };
  return {
    leader: () =>
      poll("a leader of etcd", async () => {
        for (const { client } of members) {
          const status = await statusOf(client);
          if (status?.leader !== undefined && status.leader === status.header.member_id) return client;
        }
        return undefined;
      }),
  };
}
