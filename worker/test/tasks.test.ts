import assert from "node:assert/strict";
import { createLogger, systemClock } from "@creel/shared";
import {
  type DeepPartial,
  NodeDescription,
  Task,
  TaskState,
  type TaskStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { containerSpec, GATEWAY_BRIDGE, TASK_LABEL } from "../src/tasks/spec.ts";
import { Tasks } from "../src/tasks/tasks.ts";
import { fill } from "../src/tasks/templates.ts";
import { Values } from "../src/tasks/values.ts";
import { SimulatedEngine } from "./simulated-engine.ts";
import { until } from "./until.ts";

const node = NodeDescription.fromPartial({ hostname: "node1", platform: { os: "linux" } });

function task(fields: DeepPartial<Task> = {}): Task {
  return Task.fromPartial({
    id: "t1",
    serviceId: "s1",
    serviceName: "web",
    slot: 3,
    desiredState: TaskState.TASK_STATE_RUNNING,
    status: { state: TaskState.TASK_STATE_ASSIGNED },
    spec: { container: { image: "app:1", hostname: "{{.Service.Name}}-{{.Task.Slot}}" } },
    ...fields,
  });
}

function setUp(engine = new SimulatedEngine(), values = new Values()) {
  const reports: TaskStatus[] = [];
  const tasks = new Tasks({
    engine,
    clock: systemClock,
    logger: createLogger("fatal"),
    context: (each) => ({ task: each, nodeId: "n1", node }),
    ingress: new Set(["ing"]),
    values,
    report: (_, status) => reports.push(status),
  });
  engine.watchContainers((id) => tasks.poke(id));
  const reached = (state: TaskState) =>
    until(`state ${state}`, () => reports.find((each) => each.state === state));
  return { engine, reports, tasks, reached };
}

describe("tasks", () => {
  it("goes through Docker's states to running, and ends with its process", async () => {
    const { engine, reports, tasks, reached } = setUp();
    tasks.set(task());
    const running = await reached(TaskState.TASK_STATE_RUNNING);
    assert.equal(running.pid, 100);
    assert.equal(engine.records.get(running.containerId)?.name, "web.3.t1");
    engine.exit(running.containerId, 3);
    const failed = await reached(TaskState.TASK_STATE_FAILED);
    assert.equal(failed.err, "task: non-zero exit (3)");
    assert.deepEqual(
      reports.map((each) => each.state),
      [256, 320, 384, 448, 512, 704],
    );
  });

  it("is complete when its process ends with 0", async () => {
    const { engine, tasks, reached } = setUp();
    tasks.set(task());
    engine.exit((await reached(TaskState.TASK_STATE_RUNNING)).containerId, 0);
    await reached(TaskState.TASK_STATE_COMPLETE);
  });

  it("waits at ready until it may start", async () => {
    const { engine, tasks, reached } = setUp();
    tasks.set(task({ desiredState: TaskState.TASK_STATE_READY }));
    await reached(TaskState.TASK_STATE_READY);
    assert.ok(!engine.calls.some((call) => call.startsWith("start")));
    tasks.set(task());
    await reached(TaskState.TASK_STATE_RUNNING);
  });

  it("is rejected, in words, when its image is not to be had", async () => {
    const { tasks, reached } = setUp();
    tasks.set(task({ spec: { container: { image: "nowhere:1" } } }));
    assert.equal((await reached(TaskState.TASK_STATE_REJECTED)).err, "No such image: nowhere:1");
  });

  it("runs only once its health check says healthy, and fails when it says unhealthy", async () => {
    const { engine, reports, tasks, reached } = setUp();
    tasks.set(task({ spec: { container: { image: "app:1", healthcheck: { test: ["CMD", "x"] } } } }));
    const { containerId } = await reached(TaskState.TASK_STATE_STARTING);
    while (engine.records.get(containerId)?.state?.status !== "running") await new Promise(setImmediate);
    assert.ok(!reports.some((each) => each.state === TaskState.TASK_STATE_RUNNING));
    engine.health(containerId, "healthy");
    await reached(TaskState.TASK_STATE_RUNNING);
    engine.health(containerId, "unhealthy");
    assert.equal(
      (await reached(TaskState.TASK_STATE_FAILED)).err,
      "task: non-zero exit (143): unhealthy container",
    );
    const told = reports.filter((each) => each.state === TaskState.TASK_STATE_RUNNING);
    assert.deepEqual(
      told.map((each) => each.err),
      ["", "unhealthy container"],
    );
  });

  it("runs only once it listens at its published ports, or has had its time to", async () => {
    const { engine, reports, tasks, reached } = setUp();
    tasks.set(task({ ports: [{ protocol: "tcp", targetPort: 80 }] }));
    const { containerId } = await reached(TaskState.TASK_STATE_STARTING);
    while (engine.records.get(containerId)?.state?.status !== "running") await new Promise(setImmediate);
    engine.listening.add(81);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(!reports.some((each) => each.state === TaskState.TASK_STATE_RUNNING));
    engine.listening.add(80);
    await reached(TaskState.TASK_STATE_RUNNING);

    const other = setUp();
    other.tasks.set(task({ attachments: [{ networkId: "app", address: "10.0.1.5" }] }));
    await other.reached(TaskState.TASK_STATE_RUNNING);
  });

  it("is stopped when it is no longer wanted, and its container goes with its removal", async () => {
    const { engine, tasks, reached } = setUp();
    tasks.set(task());
    const { containerId } = await reached(TaskState.TASK_STATE_RUNNING);
    tasks.set(task({ desiredState: TaskState.TASK_STATE_SHUTDOWN }));
    assert.equal((await reached(TaskState.TASK_STATE_SHUTDOWN)).exitCode, 143);
    assert.ok(engine.records.has(containerId));
    tasks.remove("t1");
    while (engine.records.size > 0) await new Promise(setImmediate);
  });

  it("takes over the container of an earlier run, and removes those nobody knows", async () => {
    const first = setUp();
    first.tasks.set(task());
    const { containerId } = await first.reached(TaskState.TASK_STATE_RUNNING);
    const orphan = await first.engine.createContainer(
      "web.9.t9",
      containerSpec({ task: task({ id: "t9" }), nodeId: "n1", node }, new Set()),
    );
    const second = setUp(first.engine);
    await second.tasks.adopt();
    second.tasks.set(task({ status: { state: TaskState.TASK_STATE_RUNNING } }));
    second.tasks.retain(new Set(["t1"]));
    while (first.engine.records.has(orphan)) await new Promise(setImmediate);
    assert.equal(first.engine.calls.filter((call) => call.startsWith("start")).length, 1);
    first.engine.exit(containerId, 1);
    await second.reached(TaskState.TASK_STATE_FAILED);
  });

  it("outlives an engine that is away for a moment", async () => {
    const { engine, tasks, reached } = setUp();
    engine.away = true;
    tasks.set(task());
    setTimeout(() => (engine.away = false), 50);
    await reached(TaskState.TASK_STATE_PREPARING);
    await reached(TaskState.TASK_STATE_RUNNING);
  });
});

describe("a task's container", () => {
  it("has Docker's labels, filled templates, ingress first and a way out", () => {
    const attachments = [
      { networkId: "app", address: "10.0.1.5", aliases: ["web"] },
      { networkId: "ing", address: "10.0.0.5" },
    ];
    const spec = containerSpec({ task: task({ attachments }), nodeId: "n1", node }, new Set(["ing"]));
    assert.equal(spec.hostname, "web-3");
    assert.equal(spec.labels[TASK_LABEL], "t1");
    assert.deepEqual(
      spec.networks.map((each) => [each.network, each.defaultRoute]),
      [
        ["ing", false],
        ["app", false],
        [GATEWAY_BRIDGE, true],
      ],
    );
  });

  it("fills Go templates, and names what is wrong with one", () => {
    const context = { task: task({ serviceLabels: { zone: "a" } }), nodeId: "n1", node };
    const text =
      '{{.Task.Name}} {{index .Service.Labels "zone"}}{{.Service.Labels.none}} {{upper .Node.Hostname}}';
    assert.equal(fill(text, context, "env"), "web.3.t1 a NODE1");
    assert.equal(fill("{{.Task.Slot}}", { ...context, task: task({ slot: 0 }) }, "env"), "n1");
    assert.throws(() => fill("{{.No.Such}}", context, "env"), /^CreelError: expanding env failed: .*"No"/);
    const endless = "{{range 1000}}{{range 1000}}x{{end}}{{end}}";
    assert.throws(() => fill(endless, context, "env"), /goes on for too long/);
  });
});
