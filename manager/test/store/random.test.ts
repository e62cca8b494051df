import assert from "node:assert/strict";
import { type Random, seededRandom } from "@creel/shared";
import { type Action, Entry, type SetRevision } from "@creel/shared/gen/cluster/v1/actions.ts";
import { Cause, type CauseKind, TaskState } from "@creel/shared/gen/cluster/v1/objects.ts";
import { encodeSnapshot, Store, type StoreView, snapshotSlices } from "../../src/store/mod.ts";
import {
  aNetwork,
  aNode,
  aReference,
  aSecret,
  aService,
  aServiceSpec,
  aTaskSpec,
  putNetwork,
  putNode,
  putSecret,
  putService,
} from "../support/specs.ts";

const STATES = Object.values(TaskState).filter((s) => s >= 0);
const DESIRED: TaskState[] = [384, 512, 640, 800];

const seed = Number(process.env.SEED ?? Date.now() & 0x7fffffff);

class Chance {
  private readonly random: Random;

  constructor(random: Random) {
    this.random = random;
  }
  below(n: number): number {
    return Math.floor(this.random.next() * n);
  }
  of<T>(all: readonly T[]): T {
    return all[this.below(all.length)]!;
  }
  id(kind: string, n: number): string {
    return `${kind}${this.below(n)}`;
  }

  revision(): SetRevision {
    const revision = 1 + this.below(4);
    const add = { number: revision, data: Buffer.from(this.id("v", 9)), createdAt: 0 };
    const state = this.of(["rotating", "undone"]);
    const rotation = { from: 1, to: revision, state, startedAt: 0, completedAt: 0, message: "" };
    const forget = [this.below(5)];
    return { id: this.id("x", 4), revision, add, forget, rotation, ifVersion: 0 };
  }

  action(): Action {
    const taskIds = Array.from({ length: 1 + this.below(5) }, () => this.id("t", 3000));
    switch (this.below(16)) {
      case 0:
        return putNode(aNode(this.id("n", 8)));
      case 1:
        return this.below(4) === 0
          ? { kind: { $case: "removeNode", value: this.id("n", 8) } }
          : putNetwork(aNetwork(this.id("w", 5), this.id("net", 6)));
      case 2:
        return putService(aService(this.id("s", 6), this.spec()), this.below(5) === 0 ? this.below(900) : 0);
      case 3:
        return this.below(6) === 0
          ? { kind: { $case: "removeService", value: this.id("s", 6) } }
          : { kind: { $case: "removeNetwork", value: this.id("w", 5) } };
      case 4:
      case 5:
      case 6: {
        const tasks = taskIds.map((id) => ({
          id,
          slot: this.below(20),
          nodeId: "",
          desiredState: this.of(DESIRED),
        }));
        return {
          kind: { $case: "createTasks", value: { serviceId: this.id("s", 6), tasks, cause: this.cause() } },
        };
      }
      case 7:
      case 8: {
        const attachments = Array.from({ length: this.below(3) }, (_, i) => ({
          networkId: `w${i}`,
          address: `10.0.${i}.${this.below(256)}`,
          aliases: [],
        }));
        const tasks = taskIds.map((taskId) => ({ taskId, attachments }));
        return { kind: { $case: "allocateTasks", value: { tasks } } };
      }
      case 9: {
        const tasks = taskIds.map((taskId) => ({
          taskId,
          nodeId: this.below(3) === 0 ? "" : this.id("n", 8),
          err: "",
          genericResources: this.below(4) === 0 ? [{ kind: "gpu", count: 1, names: ["a"] }] : [],
        }));
        return { kind: { $case: "assignTasks", value: { tasks } } };
      }
      case 10:
        return {
          kind: {
            $case: "setDesiredState",
            value: { taskIds, state: this.of(DESIRED), cause: this.cause() },
          },
        };
      case 11:
      case 12: {
        const updates = taskIds.map((taskId) => ({
          taskId,
          status: {
            state: this.of(STATES),
            timestamp: this.below(1e6),
            message: this.id("m", 3),
            err: "",
            containerId: this.id("c", 99),
            pid: this.below(9),
            exitCode: 0,
            hostPorts: [],
          },
        }));
        return { kind: { $case: "statusBatch", value: { nodeId: this.id("n", 8), updates } } };
      }
      case 13:
        return this.below(3) === 0
          ? { kind: { $case: "removeSecret", value: this.id("x", 4) } }
          : putSecret(aSecret(this.id("x", 4), this.id("name", 4)));
      case 14:
        return { kind: { $case: "setRevision", value: this.revision() } };
      default:
        return { kind: { $case: "removeTasks", value: { taskIds } } };
    }
  }

  private cause() {
    const kind = this.below(5) as CauseKind;
    return this.below(4) === 0 ? undefined : Cause.fromPartial({ kind, subject: this.id("n", 8) });
  }

  private spec() {
    const secrets = this.below(3) === 0 ? [aReference(this.id("x", 4))] : [];
    const task = aTaskSpec({ container: { image: this.id("image", 3), secrets } });
    return aServiceSpec(this.id("name", 8), this.below(5), { task });
  }
}

/** All that a view holds, as plain data. */
function dump(view: StoreView) {
  const byId = <T extends { id: string }>(all: T[]) => all.sort((a, b) => (a.id < b.id ? -1 : 1));
  return {
    index: view.index,
    time: view.time,
    nodes: byId(view.nodes()),
    services: byId(view.services()),
    networks: byId(view.networks()),
    secrets: byId(view.secrets()),
    tasks: byId(view.tasks()),
    onNodes: byId(view.nodes()).map((n) => byId(view.tasksOnNode(n.id)).map((t) => t.id)),
    ofServices: [0, 1, 2, 3, 4, 5].map((i) => byId(view.tasksOfService(`s${i}`)).map((t) => t.id)),
    inStates: STATES.map((s) => byId(view.tasksInState(s)).map((t) => t.id)),
    waiting: view
      .recordsWaiting()
      .map((t) => t.id)
      .sort(),
  };
}

describe(`store, with random entries (SEED=${seed})`, () => {
  it("gives views that never change, indexes that agree, and snapshots that come back the same", function () {
    this.timeout(60_000);
    const chance = new Chance(seededRandom(seed));
    const store = new Store();
    const kept: { view: StoreView; was: ReturnType<typeof dump> }[] = [];
    for (let index = 1; index <= 600; index++) {
      const actions = Array.from({ length: 1 + chance.below(8) }, () => chance.action());
      const entry = Entry.decode(Entry.encode({ time: 1000 * index, actions }).finish());
      const before = store.view();
      const changed = store.apply(entry, index);
      const view = store.view();
      assert.deepEqual([changed.from, changed.index], [index - 1, index]);
      for (const [id, change] of changed.tasks) {
        assert.equal(change.before, before.record(id));
        assert.equal(change.after, view.record(id));
      }
      if (index % 100 === 0) {
        const was = dump(view);
        for (const [n, state] of STATES.entries()) {
          assert.deepEqual(
            was.inStates[n],
            was.tasks.filter((t) => t.status!.state === state).map((t) => t.id),
          );
        }
        for (const [n, ids] of was.ofServices.entries()) {
          assert.deepEqual(
            ids,
            was.tasks.filter((t) => t.serviceId === `s${n}`).map((t) => t.id),
          );
        }
        kept.push({ view, was });
        const restored = new Store();
        restored.restore(encodeSnapshot(view));
        assert.deepEqual(dump(restored.view()), was);
      }
    }
    assert.ok(kept.at(-1)!.was.tasks.length > 100);
    assert.ok(kept.some(({ was }) => was.secrets.some((secret) => secret.revisions.length > 1)));
    for (const { view, was } of kept) assert.deepEqual(dump(view), was);
  });

  it("forks: neither store sees what is applied to the other", () => {
    const chance = new Chance(seededRandom(seed + 2));
    const entry = (time: number) => ({
      time,
      actions: Array.from({ length: 1 + chance.below(8) }, () => chance.action()),
    });
    const trunk = new Store();
    for (let index = 1; index <= 200; index++) trunk.apply(entry(index), index);
    const was = dump(trunk.view());
    const fork = trunk.fork();
    const twin = trunk.fork();
    for (let index = 201; index <= 400; index++) fork.apply(entry(index), index);
    const grown = dump(fork.view());
    assert.deepEqual(dump(trunk.view()), was);
    for (let index = 201; index <= 400; index++) trunk.apply(entry(index), index);
    assert.deepEqual(dump(fork.view()), grown);
    assert.deepEqual(dump(twin.view()), was);
    const restored = new Store();
    restored.restore(encodeSnapshot(fork.view()));
    assert.deepEqual(dump(restored.view()), grown);
  });

  it("comes to the same state from the same entries, also by way of a snapshot", () => {
    const chance = new Chance(seededRandom(seed + 1));
    const entries = Array.from({ length: 300 }, (_, i) => ({
      time: i,
      actions: Array.from({ length: 1 + chance.below(8) }, () => chance.action()),
    }));
    const all = new Store();
    entries.forEach((entry, i) => {
      all.apply(entry, i + 1);
    });
    const half = new Store();
    for (const [i, entry] of entries.slice(0, 150).entries()) half.apply(entry, i + 1);
    const slices = [...snapshotSlices(half.view())];
    const other = new Store();
    other.restore(Buffer.concat(slices));
    for (const [i, entry] of entries.slice(150).entries()) other.apply(entry, i + 151);
    assert.deepEqual(dump(other.view()), dump(all.view()));
  });
});
