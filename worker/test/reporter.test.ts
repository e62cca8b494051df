import assert from "node:assert/strict";
import { TaskState, TaskStatus } from "@creel/shared/gen/cluster/v1/objects.ts";
import { Reporter } from "../src/reporter/reporter.ts";

const status = (state: TaskState) => TaskStatus.fromPartial({ state });

describe("reporter", () => {
  it("sends only the newest status of a task, once", () => {
    let woken = 0;
    const reporter = new Reporter(() => woken++);
    reporter.report("a", status(TaskState.TASK_STATE_STARTING));
    reporter.report("a", status(TaskState.TASK_STATE_RUNNING));
    const report = reporter.next(10);
    assert.deepEqual(
      report?.updates.map((update) => update.status?.state),
      [TaskState.TASK_STATE_RUNNING],
    );
    assert.equal(reporter.next(10), undefined);
    assert.equal(woken, 2);
  });

  it("sends again, in a new session, what was not acknowledged", () => {
    const reporter = new Reporter(() => {});
    for (const id of ["a", "b", "c"]) reporter.report(id, status(TaskState.TASK_STATE_RUNNING));
    const first = reporter.next(2)!;
    assert.equal(first.updates.length, 2);
    reporter.acknowledged(first.sequence);
    reporter.next(2);
    reporter.resend();
    assert.deepEqual(
      reporter.next(10)?.updates.map((update) => update.taskId),
      ["c"],
    );
  });

  it("does not take an acknowledgement for a newer status", () => {
    const reporter = new Reporter(() => {});
    reporter.report("a", status(TaskState.TASK_STATE_STARTING));
    const first = reporter.next(10)!;
    reporter.report("a", status(TaskState.TASK_STATE_RUNNING));
    reporter.acknowledged(first.sequence);
    assert.equal(reporter.next(10)?.updates[0]?.status?.state, TaskState.TASK_STATE_RUNNING);
  });
});
