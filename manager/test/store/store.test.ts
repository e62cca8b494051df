import assert from "node:assert/strict";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { type ChangeSet, mergeChanges, Store } from "../../src/store/mod.ts";
import {
  aNetwork,
  aNode,
  aPort,
  aService,
  aServiceSpec,
  aTaskSpec,
  putNetwork,
  putNode,
  putService,
} from "../support/specs.ts";

const S = TaskState;

class Log {
  readonly store = new Store();
  index = 0;

  apply(...actions: Action[]): ChangeSet {
    return this.store.apply({ time: 1000 + this.index, actions }, ++this.index);
  }
}

function withTask(): Log {
  const log = new Log();
  log.apply(
    putNode(aNode("n1")),
    putNode(aNode("n2")),
    putService(aService("s1", aServiceSpec("web", 1))),
    createTask("s1", "t1"),
    { kind: { $case: "allocateTasks", value: { tasks: [{ taskId: "t1", attachments: [] }] } } },
    {
      kind: {
        $case: "assignTasks",
        value: { tasks: [{ taskId: "t1", nodeId: "n1", err: "", genericResources: [] }] },
      },
    },
  );
  return log;
}

function createTask(serviceId: string, id: string): Action {
  const task = { id, slot: 1, nodeId: "", desiredState: S.TASK_STATE_RUNNING };
  return { kind: { $case: "createTasks", value: { serviceId, tasks: [task], cause: undefined } } };
}

function report(nodeId: string, taskId: string, state: TaskState): Action {
  const status = {
    state,
    timestamp: 5,
    message: "",
    err: "",
    containerId: "c",
    pid: 7,
    exitCode: 0,
    hostPorts: [],
  };
  return { kind: { $case: "statusBatch", value: { nodeId, updates: [{ taskId, status }] } } };
}

function codes(changed: ChangeSet): string[] {
  return changed.refusals.map((r) => r.code);
}

describe("store", () => {
  it("takes a task from NEW to ASSIGNED and tells what changed", () => {
    const log = withTask();
    const task = log.store.view().task("t1")!;
    assert.equal(task.status!.state, S.TASK_STATE_ASSIGNED);
    assert.equal(task.nodeId, "n1");
    assert.equal(task.serviceName, "web");
    assert.deepEqual(
      log.store
        .view()
        .recordsOnNode("n1")
        .map((t) => t.id),
      ["t1"],
    );
    assert.equal(log.store.view().countInState(S.TASK_STATE_ASSIGNED), 1);
    const changed = log.apply(report("n1", "t1", S.TASK_STATE_RUNNING));
    const change = changed.tasks.get("t1")!;
    assert.deepEqual(
      [change.before!.state, change.after!.state],
      [S.TASK_STATE_ASSIGNED, S.TASK_STATE_RUNNING],
    );
    assert.equal(change.after!.version, log.index);
  });

  it("refuses statuses of another node, and those that go back", () => {
    const log = withTask();
    assert.deepEqual(codes(log.apply(report("n2", "t1", S.TASK_STATE_RUNNING))), ["permission_denied"]);
    log.apply(report("n1", "t1", S.TASK_STATE_RUNNING));
    assert.deepEqual(codes(log.apply(report("n1", "t1", S.TASK_STATE_PREPARING))), ["conflict"]);
    assert.equal(log.store.view().record("t1")!.state, S.TASK_STATE_RUNNING);
    assert.deepEqual(codes(log.apply(report("n1", "t9", S.TASK_STATE_RUNNING))), ["no_such_task"]);
  });

  it("says nothing of a status that is known already", () => {
    const log = withTask();
    log.apply(report("n1", "t1", S.TASK_STATE_RUNNING));
    assert.equal(log.apply(report("n1", "t1", S.TASK_STATE_RUNNING)).tasks.size, 0);
  });

  it("orphans the tasks of a removed node", () => {
    const log = withTask();
    log.apply({ kind: { $case: "removeNode", value: "n1" } });
    const task = log.store.view().record("t1")!;
    assert.equal(task.state, S.TASK_STATE_ORPHANED);
    assert.equal(task.desiredState, S.TASK_STATE_SHUTDOWN);
  });

  it("names the action that it refuses, and carries out the others", () => {
    const log = withTask();
    const changed = log.apply(
      createTask("gone", "t2"),
      createTask("s1", "t3"),
      { kind: { $case: "removeService", value: "gone" } },
      { kind: undefined },
    );
    assert.deepEqual(
      changed.refusals.map((r) => [r.action, r.item, r.code]),
      [
        [0, -1, "no_such_service"],
        [2, -1, "no_such_service"],
        [3, -1, "unsupported"],
      ],
    );
    assert.ok(log.store.view().task("t3"));
  });

  it("gives a new spec version for a new task spec only, and clears the update's status", () => {
    const log = withTask();
    const first = log.store.view().service("s1")!;
    log.apply(putService({ ...first, spec: aServiceSpec("web", 5) }));
    const scaled = log.store.view().service("s1")!;
    assert.equal(scaled.specVersion, first.specVersion);
    assert.equal(scaled.meta!.version, log.index);
    const status = { state: "paused", startedAt: 1, completedAt: 0, message: "" };
    log.apply({ kind: { $case: "setUpdateStatus", value: { serviceId: "s1", status } } });
    const task = aTaskSpec({ container: { image: "whoami:2" } });
    log.apply(putService({ ...scaled, spec: aServiceSpec("web", 5, { task }) }));
    const updated = log.store.view().service("s1")!;
    assert.equal(updated.specVersion, log.index);
    assert.equal(updated.updateStatus, undefined);
    assert.equal(log.store.view().record("t1")!.specVersion, first.specVersion);
  });

  it("holds names, ports and versions unique", () => {
    const log = withTask();
    const service = log.store.view().service("s1")!;
    assert.deepEqual(codes(log.apply(putService(service, 99))), ["out_of_sequence"]);
    assert.deepEqual(codes(log.apply(putService(aService("s2", aServiceSpec("web", 1))))), [
      "service_name_taken",
    ]);
    const endpoint = { mode: "vip", ports: [aPort(80, 8080)] };
    log.apply(putService(aService("s3", aServiceSpec("a", 1, { endpoint }))));
    const clash = log.apply(putService(aService("s4", aServiceSpec("b", 1, { endpoint }))));
    assert.deepEqual(clash.refusals[0], {
      action: 0,
      item: -1,
      code: "published_port_taken",
      params: { port: 8080, service: "a" },
    });
    log.apply(putNetwork(aNetwork("w1", "net")));
    assert.deepEqual(codes(log.apply(putNetwork(aNetwork("w2", "net")))), ["network_name_taken"]);
  });

  it("keeps a network that a service is on", () => {
    const log = new Log();
    const task = aTaskSpec({ networks: [{ target: "w1" }] });
    log.apply(putNetwork(aNetwork("w1", "net")), putService(aService("s1", aServiceSpec("a", 1, { task }))));
    const remove: Action = { kind: { $case: "removeNetwork", value: "w1" } };
    assert.deepEqual(codes(log.apply(remove)), ["swarm_network_in_use"]);
    log.apply({ kind: { $case: "removeService", value: "s1" } });
    assert.deepEqual(codes(log.apply(remove)), []);
  });

  it("does not let readers write to what it gives them", () => {
    const log = withTask();
    const service = log.store.view().service("s1")!;
    assert.throws(() => {
      service.spec!.labels.x = "y";
    }, TypeError);
  });

  it("merges change sets to the first before and the last after", () => {
    const log = withTask();
    const a = log.apply(createTask("s1", "t2"), report("n1", "t1", S.TASK_STATE_RUNNING));
    const b = log.apply(
      { kind: { $case: "removeTasks", value: { taskIds: ["t2"] } } },
      report("n1", "t1", S.TASK_STATE_FAILED),
    );
    const merged = mergeChanges(a, b);
    assert.deepEqual([...merged.tasks.keys()], ["t1"]);
    assert.equal(merged.tasks.get("t1")!.before!.state, S.TASK_STATE_ASSIGNED);
    assert.equal(merged.tasks.get("t1")!.after!.state, S.TASK_STATE_FAILED);
    assert.deepEqual([merged.from, merged.index], [a.from, b.index]);
  });

  it("looks up in an old view what has gone since", () => {
    const log = withTask();
    const old = log.store.view();
    log.apply({ kind: { $case: "removeTasks", value: { taskIds: ["t1"] } } }, createTask("s1", "t2"));
    assert.equal(old.task("t1")!.id, "t1");
    assert.equal(old.task("t2"), undefined);
    assert.deepEqual(
      old.recordsOnNode("n1").map((t) => t.id),
      ["t1"],
    );
    assert.deepEqual(
      log.store
        .view()
        .recordsOfService("s1")
        .map((t) => t.id),
      ["t2"],
    );
  });
});
