import assert from "node:assert/strict";
import { fromGrpc } from "@creel/shared";
import {
  type AgentMessage,
  DispatcherClient,
  type DispatcherMessage,
} from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { connect, LiveIdentity } from "@creel/shared/tls";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { TestAgent } from "../harness/agent.ts";
import { TestCluster, until } from "../harness/cluster.ts";
import { replicated } from "../harness/specs.ts";

describe("dispatcher sessions", function () {
  this.timeout(60_000);
  let cluster: TestCluster;
  const agents: TestAgent[] = [];

  before(async () => {
    cluster = await TestCluster.start(1);
    for (const number of [1, 2, 3]) {
      agents.push(new TestAgent(await cluster.join("worker"), cluster.addrs(), number));
    }
    await until("all agents", () => agents.every((agent) => agent.batches.length > 0));
  });
  after(async () => {
    for (const agent of agents) agent.stop();
    await cluster?.stop();
  });

  const view = () => cluster.nodes[0]!.manager.view();

  async function create(name: string, replicas: number, network?: string): Promise<string> {
    const spec = replicated(name, replicas);
    if (network) spec.task!.networks = [{ target: network, aliases: ["alias"], driverOptions: {} }];
    const reply = await cluster.nodes[0]!.manager.control({
      kind: { $case: "createService", value: { spec } },
    });
    return reply.id;
  }

  async function scale(id: string, replicas: number): Promise<void> {
    const known = view().service(id)!;
    const spec = { ...known.spec!, mode: { $case: "replicated" as const, value: { replicas } } };
    const value = { id, version: known.meta!.version, spec, rollback: false };
    await cluster.nodes[0]!.manager.control({ kind: { $case: "updateService", value } });
  }

  it("tells the spec of several tasks once", async () => {
    const service = await create("alike", 9);
    const mine = (agent: TestAgent) => agent.running().filter((task) => task.serviceId === service);
    await until("three tasks on each node", () => agents.every((agent) => mine(agent).length === 3));
    const { spec } = view().service(service)!;
    for (const { batches } of agents) {
      const { setTasks, specs, specOf } = batches.find((batch) => batch.setTasks.length > 0)!;
      assert.deepEqual(
        setTasks.map((task, i) => [task.spec, specs[specOf[i]!]]),
        setTasks.map(() => [undefined, spec!.task]),
      );
      assert.equal(specs.length, 1);
    }
    await scale(service, 0);
    await until("none left", () => agents.every((agent) => mine(agent).length === 0));
  });

  it("tells a network only to nodes that need it, and takes it back from them", async () => {
    const { manager } = cluster.nodes[0]!;
    const { id: network } = await manager.control({
      kind: {
        $case: "createNetwork",
        value: {
          spec: {
            name: "back",
            labels: {},
            driver: "overlay",
            options: {},
            internal: false,
            attachable: false,
            ingress: false,
            subnet: "",
            gateway: "",
          },
        },
      },
    });
    const service = await create("one", 1, "back");
    const holders = () => agents.filter((agent) => agent.told.has(network));
    await until(
      "one node with the network",
      () => holders().length === 1 && holders()[0]!.running().length === 1,
    );
    const told = await until("its own balancer", () =>
      holders()[0]?.told.get(network)?.balancers.get(service),
    );
    assert.deepEqual(told.names, ["one", "alias"]);
    await scale(service, 3);
    await until("all three with the network, and each other's addresses", () =>
      agents.every((agent) => {
        const picture = agent.told.get(network);
        return picture?.peers.size === 2 && picture.balancers.get(service)?.backends.length === 3;
      }),
    );
    await scale(service, 0);
    await until("nobody with the network", () => holders().length === 0);
    await manager.control({ kind: { $case: "removeService", value: service } });
    await manager.control({ kind: { $case: "removeNetwork", value: network } });
  });

  it("takes a task that is to stop out of the backends at once, and keeps its address while it ends", async () => {
    const { manager } = cluster.nodes[0]!;
    const service = await create("drained", 2);
    const spec = view().service(service)!.spec!;
    await manager.control({ kind: { $case: "removeService", value: service } });
    const published = {
      ...spec,
      endpoint: {
        mode: "",
        ports: [{ name: "", protocol: "tcp", targetPort: 80, publishedPort: 18_090, publishMode: "ingress" }],
      },
    };
    const { id } = await manager.control({ kind: { $case: "createService", value: { spec: published } } });
    const ingress = view().ingressNetwork()!.id;
    const backends = (agent: TestAgent) => agent.told.get(ingress)?.balancers.get(id)?.backends.length;
    await until("two backends", () => agents.every((agent) => backends(agent) === 2));
    for (const agent of agents) agent.stops = false;
    await scale(id, 1);
    await until("one backend", () => agents.every((agent) => backends(agent) === 1));
    const stopping = view()
      .tasksOfService(id)
      .find((task) => task.desiredState > TaskState.TASK_STATE_RUNNING)!;
    const address = stopping.attachments[0]!.address;
    const others = agents.filter((agent) => agent.id !== stopping.nodeId);
    assert.ok(others.every((agent) => agent.told.get(ingress)!.peers.has(address)));
    for (const agent of agents) agent.stopAll();
    await until("its address to be gone", () =>
      others.every((agent) => !agent.told.get(ingress)!.peers.has(address)),
    );
    await manager.control({ kind: { $case: "removeService", value: id } });
  });

  it("has a failed task made again", async () => {
    const service = await create("failing", 1);
    const first = await until("its task to run", () =>
      view()
        .tasksOfService(service)
        .find((t) => t.status?.state === 512),
    );
    const agent = agents.find((known) => known.id === first.nodeId)!;
    agent.reportFailure(agent.tasks.get(first.id)!);
    await until("another one in its place", () =>
      view()
        .tasksOfService(service)
        .find((task) => task.id !== first.id && task.slot === first.slot && task.status?.state === 512),
    );
    assert.equal(view().task(first.id)?.status?.state, TaskState.TASK_STATE_FAILED);
    await cluster.nodes[0]!.manager.control({ kind: { $case: "removeService", value: service } });
  });

  it("refuses what is no session: no Hello first, another protocol, two at a time", async () => {
    const live = new LiveIdentity(await cluster.join("worker"));
    const addr = cluster.addrs()[0]!;
    const client = connect(DispatcherClient, addr, live);
    const ended = (stream: ClientDuplexStream<AgentMessage, DispatcherMessage>) =>
      new Promise<string>((resolve) => {
        stream.on("data", () => {});
        stream.on("error", () => {});
        stream.on("status", (status: Partial<ServiceError>) => resolve(fromGrpc(status, addr).code));
      });
    const hello = (protocol: number): AgentMessage => ({
      kind: {
        $case: "hello",
        value: { protocol, description: undefined, dataPathAddr: "", engineInstance: "" },
      },
    });
    try {
      const silent = client.session();
      silent.write({ kind: { $case: "heartbeat", value: {} } });
      assert.equal(await ended(silent), "invalid_parameter");
      const future = client.session();
      future.write(hello(99));
      assert.equal(await ended(future), "protocol_mismatch");
      const older = client.session();
      const replaced = ended(older);
      older.write(hello(1));
      await until("the first to be there", () => view().node(live.current().nodeId)?.status?.state === 2);
      const newer = client.session();
      newer.on("error", () => {});
      newer.write(hello(1));
      assert.equal(await replaced, "session_replaced");
      newer.cancel();
    } finally {
      client.close();
    }
  });
});
