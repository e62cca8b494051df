// A manager in a process of its own, as creeld has it: a log on disk, its TLS port on loopback.
import { joinCluster, type Manager, newCluster, startManager } from "@creel/manager";
import { createLogger, systemClock, systemRandom } from "@creel/shared";
import { NodeState, ServiceSpec, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { ClusterServer, LiveIdentity } from "@creel/shared/tls";
import type { ManagerAnswer, ManagerRequest } from "./messages.ts";

const ports = { clock: systemClock, random: systemRandom };
const [dir] = process.argv.slice(2);
const answer = (message: ManagerAnswer) => process.send!(message);
let manager: Manager | undefined;

async function start(request: ManagerRequest & { do: "create" | "join" }): Promise<void> {
  const create = request.do === "create" ? await newCluster({ availability: 2 }, ports) : undefined;
  const joined =
    request.do === "join"
      ? await joinCluster({ remoteAddrs: [request.addr], token: request.token, availability: 2 })
      : undefined;
  const identity = new LiveIdentity((create ?? joined)!.identity);
  const server = new ClusterServer({ identity, clock: systemClock });
  const addr = `127.0.0.1:${await server.listen("127.0.0.1:0")}`;
  manager = await startManager({
    ...ports,
    ...(create && { create }),
    ...(request.do === "join" && { join: [request.addr] }),
    dataDir: dir!,
    identity,
    server,
    addr,
    logger: createLogger("warn"),
    raft: { encryptionKey: Buffer.alloc(32, 1) },
  });
  const { workerToken, managerToken } = manager.view().cluster().rootCa!;
  answer({ ready: addr, workerToken, managerToken });
}

/** Seconds from the first service's request until all tasks run, in this manager's own store. */
async function run(of: Manager, { tasks, services }: { tasks: number; services: number }): Promise<void> {
  const already = of.view().countInState(TaskState.TASK_STATE_RUNNING);
  const createdToAssigned: number[] = [];
  const created = new Map<string, number>();
  const started = performance.now();
  const done = new Promise<number>((resolve) => {
    const end = of.onChange((changes, view) => {
      const now = performance.now();
      for (const [id, { before, after }] of changes.tasks) {
        if (!before) created.set(id, now);
        else if (
          before.state < TaskState.TASK_STATE_ASSIGNED &&
          after &&
          after.state >= TaskState.TASK_STATE_ASSIGNED
        ) {
          createdToAssigned.push(now - created.get(id)!);
        }
      }
      if (view.countInState(TaskState.TASK_STATE_RUNNING) < already + tasks) return;
      end();
      resolve((performance.now() - started) / 1000);
    });
  });
  for (let i = 0; i < services; i++) {
    const replicas = Math.floor((tasks * (i + 1)) / services) - Math.floor((tasks * i) / services);
    const spec = ServiceSpec.fromPartial({
      name: `bench-${already}-${i}`,
      task: { container: { image: "whoami:1", env: ["TASK={{.Task.Name}}"] } },
      mode: { $case: "replicated", value: { replicas } },
    });
    await of.control({ kind: { $case: "createService", value: { spec } } });
  }
  answer({ seconds: await done, createdToAssigned });
}

process.on("message", async (request: ManagerRequest) => {
  try {
    if (request.do === "run") await run(manager!, request);
    else await start(request);
  } catch (error) {
    answer({ failed: (error as Error).message });
  }
});
setInterval(() => {
  const nodes = manager?.view().nodes() ?? [];
  answer({ nodes: nodes.filter((node) => node.status?.state === NodeState.NODE_STATE_READY).length });
}, 200).unref();
process.on("disconnect", () => process.exit(0));
