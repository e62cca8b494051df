import assert from "node:assert/strict";
import { createLogger, systemClock } from "@creel/shared";
import { type AssignedData, Assignments } from "@creel/shared/gen/cluster/v1/dispatcher.ts";
import {
  type ContainerSpec,
  type DeepPartial,
  NodeDescription,
  Task,
  TaskState,
  type TaskStatus,
} from "@creel/shared/gen/cluster/v1/objects.ts";
import { filesOf } from "../src/tasks/files.ts";
import { Tasks } from "../src/tasks/tasks.ts";
import { Values } from "../src/tasks/values.ts";
import { SimulatedEngine } from "./simulated-engine.ts";
import { until } from "./until.ts";

const node = NodeDescription.fromPartial({ hostname: "node1", platform: { os: "linux" } });
const SECRET = "hunter2";

const value = (id: string, text: string, template = false, revision = 1): AssignedData => ({
  key: { id, revision },
  template,
  data: Buffer.from(text),
});
const reference = (id: string, name = id) => ({
  id,
  name: `${id}-name`,
  revision: 1,
  file: { name, uid: "5", gid: "6", mode: 0o400 },
});
const given = (...setData: AssignedData[]) => {
  const values = new Values();
  values.take(Assignments.fromPartial({ full: true, setData }));
  return values;
};
const task = (container: DeepPartial<ContainerSpec>, fields: DeepPartial<Task> = {}) =>
  Task.fromPartial({
    id: "t1",
    serviceId: "s1",
    serviceName: "web",
    slot: 2,
    desiredState: TaskState.TASK_STATE_RUNNING,
    status: { state: TaskState.TASK_STATE_ASSIGNED },
    spec: { container: { image: "app:1", ...container } },
    ...fields,
  });
const context = (container: DeepPartial<ContainerSpec>) => ({ task: task(container), nodeId: "n1", node });
const contents = (container: DeepPartial<ContainerSpec>, values: Values) =>
  filesOf(context(container), values).map(({ target, data }) => [target, data.toString()]);

describe("a task's secrets and configs", () => {
  it("are files at their targets, with owner and mode", () => {
    const values = given(value("a", "1"), value("b", "2"), value("c", "3"), value("d", "4"));
    const container = {
      secrets: [reference("a"), reference("b", "/etc/keys/b")],
      configs: [reference("c"), { ...reference("d"), file: undefined }],
    };
    assert.deepEqual(contents(container, values), [
      ["/run/secrets/a", "1"],
      ["/etc/keys/b", "2"],
      ["/c", "3"],
    ]);
    const { uid, gid, mode } = filesOf(context(container), values)[0]!;
    assert.deepEqual([uid, gid, mode], [5, 6, 0o400]);
  });

  it("are expanded where they are templates, with the task's own environment, secrets and configs", () => {
    const text =
      '{{.Service.Name}}.{{.Task.Slot}} {{env "LEVEL"}}{{env "NONE"}} {{secret "a"}} {{secret "a-name"}} {{config "c"}}';
    const values = given(value("a", SECRET), value("c", "three"), value("t", text, true), value("p", text));
    const container = {
      env: ["LEVEL={{.Node.Hostname}}"],
      secrets: [reference("a")],
      configs: [reference("c"), reference("t"), reference("p")],
    };
    const [, , expanded, plain] = contents(container, values);
    assert.deepEqual(expanded, ["/t", `web.2 node1 ${SECRET} ${SECRET} three`]);
    assert.deepEqual(plain, ["/p", text]);
  });

  it("never show a value in what a wrong template is answered with", () => {
    const wrong = [
      '{{secret "none"}}',
      '{{config (secret "a")}}',
      '{{range secret "a"}}{{end}}',
      '{{index (secret "a") (secret "a")}}',
      '{{slice (secret "a") 99}}',
      '{{printf 3 (secret "a")}}',
      '{{pad "x" (secret "a") 0}}',
      '{{lt (secret "a") 3}}',
      '{{(secret "a").X}}',
      '{{nosuch (secret "a")}}',
      "{{.Service.Nothing}}",
      "{{if}}",
    ];
    for (const text of wrong) {
      const values = given(value("a", SECRET), value("t", text, true));
      const container = { secrets: [reference("a")], configs: [reference("t")] };
      assert.throws(
        () => filesOf(context(container), values),
        (error: Error) => {
          assert.match(error.message, /^expanding config t-name failed: /, text);
          assert.ok(!error.message.includes(SECRET), error.message);
          return true;
        },
      );
    }
    const values = given(value("a", `${SECRET}{{.${SECRET}}}`, true));
    assert.throws(() => filesOf(context({ secrets: [reference("a")] }), values), {
      message: "expanding secret a-name failed: its template is wrong",
    });
  });
});

describe("a task whose secrets have not come", () => {
  function setUp() {
    const reports: TaskStatus[] = [];
    const values = new Values();
    const engine = new SimulatedEngine();
    const tasks = new Tasks({
      engine,
      clock: systemClock,
      logger: createLogger("fatal"),
      context: (each) => ({ task: each, nodeId: "n1", node }),
      ingress: new Set(),
      values,
      report: (_, status) => reports.push(status),
    });
    const reached = (state: TaskState) =>
      until(`state ${state}`, () => reports.some((each) => each.state === state));
    return { engine, values, tasks, reached, reports };
  }
  const container = { secrets: [reference("a")] };

  it("waits for them, and is made with them", async () => {
    const { engine, values, tasks, reached, reports } = setUp();
    tasks.set(task(container));
    await reached(TaskState.TASK_STATE_PREPARING);
    values.take(Assignments.fromPartial({ setData: [value("a", "old", false, 7)] }));
    await new Promise(setImmediate);
    assert.ok(!engine.calls.some((call) => call.startsWith("create")), "another revision will not do");
    values.take(Assignments.fromPartial({ setData: [value("a", SECRET)] }));
    await reached(TaskState.TASK_STATE_RUNNING);
    const [made] = engine.records.values();
    assert.equal(made!.spec!.files[0]!.data.toString(), SECRET);
    assert.ok(!JSON.stringify(reports).includes(SECRET));
  });

  it("ends when it is no longer wanted", async () => {
    const { engine, tasks, reached } = setUp();
    tasks.set(task(container));
    await reached(TaskState.TASK_STATE_PREPARING);
    tasks.set(task(container, { desiredState: TaskState.TASK_STATE_SHUTDOWN }));
    await reached(TaskState.TASK_STATE_SHUTDOWN);
    assert.equal(engine.records.size, 0);
  });

  it("leaves no container that holds them and never ran", async () => {
    const { engine, values, tasks, reached } = setUp();
    values.take(Assignments.fromPartial({ setData: [value("a", SECRET)] }));
    tasks.set(task(container, { desiredState: TaskState.TASK_STATE_READY }));
    await reached(TaskState.TASK_STATE_READY);
    assert.equal(engine.records.size, 1);
    tasks.set(task(container, { desiredState: TaskState.TASK_STATE_SHUTDOWN }));
    await reached(TaskState.TASK_STATE_SHUTDOWN);
    assert.equal(engine.records.size, 0);
  });
});
