import assert from "node:assert/strict";
import type { Action } from "@creel/shared/gen/cluster/v1/actions.ts";
import { TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { DataTracker } from "../../src/dispatcher/data.ts";
import { isLive, Store } from "../../src/store/mod.ts";
import {
  aNode,
  aReference,
  aSecret,
  aService,
  aServiceSpec,
  aTaskSpec,
  putNode,
  putSecret,
  putService,
} from "../support/specs.ts";

const RUNNING = TaskState.TASK_STATE_RUNNING;

class World {
  readonly store = new Store();
  #index = 0;

  apply(...actions: Action[]): void {
    assert.deepEqual(this.store.apply({ time: 0, actions }, ++this.#index).refusals, []);
  }

  /** A service with these secrets, and one task of it on each of the nodes. */
  service(id: string, secrets: string[], ...nodes: string[]): void {
    const task = aTaskSpec({ container: { image: id, secrets: secrets.map((name) => aReference(name)) } });
    const tasks = nodes.map((nodeId, slot) => ({
      id: `${id}-${nodeId}`,
      slot,
      nodeId,
      desiredState: RUNNING,
    }));
    this.apply(putService(aService(id, aServiceSpec(id, nodes.length, { task }))), {
      kind: { $case: "createTasks", value: { serviceId: id, tasks, cause: undefined } },
    });
  }

  next(tracker: DataTracker, node: string) {
    const view = this.store.view();
    const live = view.recordsOnNode(node).filter(isLive);
    const { setData, removeData } = tracker.next(new Set(live.map(({ spec }) => spec)), view);
    return {
      set: setData.map(({ key, data }) => `${key!.id}${key!.revision}=${data}`),
      remove: removeData.map(({ id, revision }) => `${id}${revision}`),
    };
  }
}

describe("what nodes are given of secrets and configs", () => {
  let world: World;
  beforeEach(() => {
    world = new World();
    world.apply(putNode(aNode("n1")), putNode(aNode("n2")));
    for (const id of ["a", "b"]) world.apply(putSecret(aSecret(id, id, `value-${id}`)));
  });

  it("is what their own live tasks name, once, and taken back with the last of them", () => {
    const [one, two] = [new DataTracker(), new DataTracker()];
    world.service("s", ["a"], "n1");
    world.service("t", ["a", "b"], "n1");
    assert.deepEqual(world.next(one, "n1"), { set: ["a1=value-a", "b1=value-b"], remove: [] });
    assert.deepEqual(world.next(two, "n2"), { set: [], remove: [] });
    assert.deepEqual(world.next(one, "n1"), { set: [], remove: [] });
    const stop = (taskId: string): Action => ({
      kind: {
        $case: "setDesiredState",
        value: { taskIds: [taskId], state: TaskState.TASK_STATE_SHUTDOWN, cause: undefined },
      },
    });
    world.apply(stop("t-n1"));
    assert.deepEqual(world.next(one, "n1"), { set: [], remove: ["b1"] });
    world.apply(stop("s-n1"));
    assert.deepEqual(world.next(one, "n1"), { set: [], remove: ["a1"] });
  });

  it("is the revision that the task is pinned to", () => {
    const tracker = new DataTracker();
    world.service("s", ["a"], "n1");
    world.next(tracker, "n1");
    const add = { number: 2, data: Buffer.from("new"), createdAt: 0 };
    const value = { id: "a", revision: 2, add, forget: [], rotation: undefined, ifVersion: 0 };
    world.apply({ kind: { $case: "setRevision", value } });
    assert.deepEqual(world.next(tracker, "n1"), { set: [], remove: [] }, "the task is of the spec before");
    const task = { id: "later", slot: 2, nodeId: "n1", desiredState: RUNNING };
    world.apply({
      kind: { $case: "createTasks", value: { serviceId: "s", tasks: [task], cause: undefined } },
    });
    assert.deepEqual(world.next(tracker, "n1"), { set: ["a2=new"], remove: [] });
  });

  it("comes in several messages where it is much", () => {
    const tracker = new DataTracker();
    const names = Array.from({ length: 20 }, (_, i) => `big${i}`);
    for (const name of names) world.apply(putSecret(aSecret(name, name, "x".repeat(450_000))));
    world.service("s", names, "n1");
    const counts: number[] = [];
    for (let left = 5; left > 0; left--) counts.push(world.next(tracker, "n1").set.length);
    assert.deepEqual(counts, [10, 10, 0, 0, 0]);
  });
});
