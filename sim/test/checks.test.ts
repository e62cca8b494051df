// What the checks say when something is wrong: a simulation that cannot fail proves nothing.
import assert from "node:assert/strict";
import { Entry, type NewTask } from "@creel/shared/gen/cluster/v1/actions.ts";
import { Service } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Acknowledged } from "../src/checks/acknowledged.ts";
import { LogWatch } from "../src/checks/log.ts";
import { SlotWatch } from "../src/checks/slots.ts";
import type { Machine } from "../src/machine.ts";
import { VirtualTime } from "../src/time.ts";
import { Trace } from "../src/trace.ts";

function setUp() {
  const failures: string[] = [];
  const fail = (what: string) => failures.push(what);
  return { failures, fail, log: new LogWatch(new Trace(new VirtualTime()), fail) };
}

function entry(serviceId: string): Uint8Array {
  const service = Service.fromPartial({ id: serviceId });
  return Entry.encode({
    time: 1,
    actions: [{ kind: { $case: "putService", value: { service, ifVersion: 0 } } }],
  } as Entry).finish();
}

function tasks(...ids: string[]): Uint8Array {
  const made = ids.map((id) => ({ id, slot: 1, nodeId: "", desiredState: 512 }) as NewTask);
  const kind = { $case: "createTasks" as const, value: { serviceId: "s", tasks: made, cause: undefined } };
  return Entry.encode({ time: 1, actions: [{ kind }] }).finish();
}

function machine(name: string, running: string[], connected = true): Machine {
  return { name, connected, engine: { running: () => running, away: false } } as unknown as Machine;
}

describe("the checks", () => {
  it("see two leaders in one term, and none where a term has one", () => {
    const { failures, log } = setUp();
    log.role("node1", 3, "leader");
    log.role("node1", 3, "leader");
    log.role("node2", 4, "leader");
    assert.deepEqual(failures, []);
    log.role("node2", 3, "leader");
    assert.match(failures[0]!, /node2 leads in term 3, and so did node1/);
  });

  it("see logs that differ", () => {
    const { failures, log } = setUp();
    log.entry("node1", 5, 2, entry("a"));
    log.entry("node2", 5, 2, entry("a"));
    assert.deepEqual(failures, []);
    log.entry("node3", 5, 2, entry("b"));
    assert.match(failures[0]!, /entry 5 is of term 2 on node1/);
  });

  it("see an acknowledged change that is not there", () => {
    const { failures, fail, log } = setUp();
    const acknowledged = new Acknowledged(log, fail);
    const request = { kind: { $case: "createService" as const, value: { spec: undefined } } };
    log.entry("node1", 5, 2, entry("a"));
    acknowledged.done(request, { id: "a", index: 5, warnings: [], moves: [] });
    assert.deepEqual(failures, []);
    acknowledged.done(request, { id: "b", index: 5, warnings: [], moves: [] });
    assert.match(failures[0]!, /createService of b was acknowledged at 5/);
    acknowledged.compare({ service: () => undefined } as never);
    assert.match(failures[1]!, /service a was acknowledged at 5, and is gone/);
  });

  it("see a slot that runs twice for too long, where both can be reached", () => {
    const { failures, fail, log } = setUp();
    log.entry("node1", 5, 2, tasks("t1", "t2"));
    const slots = new SlotWatch(log, fail);
    const both = [machine("node1", ["t1"]), machine("node2", ["t2"])];
    const apart = [machine("node1", ["t1"]), machine("node2", ["t2"], false)];
    for (let now = 0; now <= 100_000; now += 1_000) slots.look(apart, true, now);
    for (let now = 0; now <= 30_000; now += 1_000) slots.look(both, true, now);
    assert.deepEqual(failures, []);
    slots.look(both, true, 31_000);
    assert.match(failures[0]!, /slot s\/1 has been running twice for 31 s: t1 on node1, t2 on node2/);
  });
});
