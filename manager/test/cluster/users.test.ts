import assert from "node:assert/strict";
import { isCreelError, systemClock } from "@creel/shared";
import {
  type Chunk,
  NodeStreamsService,
  type TaskLogsRequest,
} from "@creel/shared/gen/cluster/v1/control.ts";
import { NodeRole } from "@creel/shared/gen/cluster/v1/objects.ts";
import { ClusterServer, LiveIdentity } from "@creel/shared/tls";
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { ClusterEvent } from "../../src/mod.ts";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, until } from "../harness/cluster.ts";
import { replicated } from "../harness/specs.ts";

describe("what users see of the cluster", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  let agent: TestAgent | undefined;
  let server: ClusterServer | undefined;

  before(async () => {
    cluster = await TestCluster.start(2);
  });
  after(async () => {
    agent?.stop();
    await server?.stop();
    await cluster?.stop();
  });

  it("a task's log comes from the node it runs on, through any manager", async () => {
    const identity = await cluster.join("worker");
    server = new ClusterServer({ identity: new LiveIdentity(identity), clock: systemClock });
    server.add(
      NodeStreamsService,
      {
        logs: (call: ServerWritableStream<TaskLogsRequest, Chunk>) => {
          call.write({ data: Buffer.from(`log of ${call.request.taskId}\n`), raw: true });
          if (!call.request.options?.follow) call.end();
        },
      },
      { logs: [NodeRole.NODE_ROLE_MANAGER] },
    );
    const port = await server.listen("127.0.0.1:0");
    agent = new TestAgent(identity, cluster.addrs(), 1, port);
    const [follower] = cluster.followers();
    const { manager } = follower!;
    const { id } = await manager.control({
      kind: { $case: "createService", value: { spec: replicated("talks", 1) } },
    });
    const task = await until("a running task", () =>
      manager
        .view()
        .tasksOfService(id)
        .find((known) => known.status?.state === 512),
    );
    const chunks: string[] = [];
    const request = { taskId: task.id, options: undefined };
    for await (const { data } of manager.taskLogs(request, new AbortController().signal)) {
      chunks.push(Buffer.from(data).toString());
    }
    assert.deepEqual(chunks, [`log of ${task.id}\n`]);
    await assert.rejects(
      async () => {
        for await (const _ of manager.taskLogs(
          { taskId: "none", options: undefined },
          new AbortController().signal,
        ));
      },
      (error) => isCreelError(error, "no_such_task"),
    );
  });

  it("changes are told as events, with what was and what is", async () => {
    const { manager } = cluster.nodes[1]!;
    const events: ClusterEvent[] = [];
    const stop = manager.onEvent((event) => events.push(event));
    const known = manager.view().serviceByName("talks")!;
    const spec = { ...known.spec!, mode: { $case: "replicated" as const, value: { replicas: 2 } } };
    const value = { id: known.id, version: known.meta!.version, spec, rollback: false };
    await manager.control({ kind: { $case: "updateService", value } });
    await manager.control({ kind: { $case: "removeService", value: known.id } });
    const node = manager.view().node(agent!.id)!;
    const drain = {
      id: node.id,
      version: node.meta!.version,
      spec: { ...node.spec!, availability: 2 as const },
    };
    await manager.control({ kind: { $case: "updateNode", value: drain } });
    stop();
    const told = events
      .filter(({ type }) => type !== "task")
      .map(({ type, action, attributes }) => ({ type, action, attributes }));
    assert.deepEqual(told, [
      {
        type: "service",
        action: "update",
        attributes: { name: "talks", "replicas.old": "1", "replicas.new": "2" },
      },
      { type: "service", action: "remove", attributes: { name: "talks" } },
      {
        type: "node",
        action: "update",
        attributes: { name: "host1", "availability.old": "active", "availability.new": "drain" },
      },
    ]);
    const tasks = events.filter(({ type }) => type === "task");
    assert.ok(
      tasks.some(
        ({ action, attributes }) =>
          action === "create" &&
          attributes.name === "talks.2" &&
          attributes.cause === "the service asks for it",
      ),
    );
    assert.ok(tasks.some(({ attributes }) => attributes["desiredstate.new"] === "remove"));
  });

  it("how each manager stands", async () => {
    const leader = await cluster.leader();
    for (const { manager } of cluster.nodes) {
      for (const { id, addr } of cluster.nodes) {
        const status = manager.managerStatus(id)!;
        assert.deepEqual([status.leader, status.addr], [id === leader.id, addr]);
      }
      assert.equal(manager.managerStatus(agent!.id), undefined);
    }
  });
});
