import assert from "node:assert/strict";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { audit } from "../../src/audit.ts";
import { docker } from "../../src/cli.ts";
import {
  ids,
  killNow,
  killProgram,
  nodeState,
  note,
  pidOf,
  processIds,
  runningTasks,
  seconds,
  serveWeb,
  Traffic,
  timed,
} from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { until } from "../../src/wait.ts";

const PORT = 8080;

/** Waits for a container; resolves when its end cannot be missed any more. */
function waitFor(socketPath: string, name: string): Promise<{ result: Promise<unknown> }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method: "POST", path: `/containers/${name}/wait` });
    asked.on("response", (answer) => resolve({ result: json(answer) })).on("error", reject);
    asked.end();
  });
}

describe("a program of a node is killed", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1 });
  const hosts = () => [...fixture.lab.nodes];
  const ready = async () => {
    await nodeState(fixture.lab, "node1", "node2", "ready");
    await until("four tasks run", async () => (await runningTasks(fixture.lab, "node1", "web")).length === 4);
  };

  before(() => serveWeb(fixture.lab, PORT));
  afterEach(() => audit(fixture.lab));

  it("creeld of a worker: no container notices, and they are the same tasks afterwards", async () => {
    const { lab } = fixture;
    const [tasks, pids] = [ids(await runningTasks(lab, "node1")), await processIds(lab, "node2")];
    assert.ok(pids.size > 0);
    const traffic = new Traffic(hosts(), PORT);
    const took = await timed(() => killProgram(lab, "node2", "creeld"));
    await ready();
    await traffic.stop();
    note(`creeld answers again after ${seconds(took)}; ${traffic.total} requests, none failed`);
    assert.deepEqual(await processIds(lab, "node2"), pids);
    assert.deepEqual(ids(await runningTasks(lab, "node1")), tasks);
    assert.deepEqual(traffic.failures, []);
  });

  it("creel-engine of a worker: the same, and what ended meanwhile is known", async () => {
    const { lab } = fixture;
    const cli = docker(lab, "node2");
    await cli.ok("run", "-d", "--name", "ends", "busybox", "sleep", "1000");
    await cli.ok("run", "-d", "--name", "stays", "busybox", "sleep", "1000");
    const [tasks, pids] = [ids(await runningTasks(lab, "node1")), await processIds(lab, "node2")];
    const traffic = new Traffic(hosts(), PORT);
    const waits = await waitFor(lab.socket("node2"), "ends");
    const took = await timed(() => killProgram(lab, "node2", "engine", pids.get("/ends")!));
    await ready();
    await traffic.stop();
    note(`the engine answers again after ${seconds(took)}; ${traffic.total} requests, none failed`);
    const format = "{{.State.Status}} {{.State.ExitCode}}";
    assert.equal(await cli.ok("inspect", "-f", format, "ends"), "exited 137");
    pids.delete("/ends");
    assert.deepEqual(await processIds(lab, "node2"), pids);
    assert.deepEqual(ids(await runningTasks(lab, "node1")), tasks);
    assert.deepEqual(traffic.failures, []);
    assert.deepEqual(await waits.result, { StatusCode: 137 });
    assert.equal(await cli.ok("wait", "ends"), "137");
    assert.equal(await cli.ok("exec", "stays", "echo", "still here"), "still here");
    await cli.ok("rm", "-f", "ends", "stays");
  });

  it("a task's process, while neither runs: the task is made again", async () => {
    const { lab } = fixture;
    const before = ids(await runningTasks(lab, "node1"));
    const [name, pid] = [...(await processIds(lab, "node2"))][0]!;
    killNow(lab, "node2", pidOf(lab, "node2", "creeld"));
    await killProgram(lab, "node2", "engine", pid);
    const lost = name.split(".").at(-1)!;
    await until("it counts no more", async () => !ids(await runningTasks(lab, "node1")).includes(lost));
    await ready();
    const after = ids(await runningTasks(lab, "node1"));
    assert.deepEqual(
      before.filter((id) => !after.includes(id)),
      [lost],
    );
  });

  it("all three programs of a manager and worker: nothing of the cluster is lost", async () => {
    const { lab } = fixture;
    const [tasks, pids] = [ids(await runningTasks(lab, "node1")), await processIds(lab, "node1")];
    const engine = pidOf(lab, "node1", "engine");
    await killProgram(lab, "node1", "creeld", engine);
    await until("the cluster answers", async () => (await runningTasks(lab, "node1")).length === 4);
    await ready();
    assert.deepEqual(await processIds(lab, "node1"), pids);
    assert.deepEqual(ids(await runningTasks(lab, "node1")), tasks);
  });

  it("creel-engine of a worker stands still: its node says so and is down, and when it goes on all is right", async () => {
    const { lab } = fixture;
    const engine = String(pidOf(lab, "node2", "engine"));
    const begun = performance.now();
    const since = () => seconds(performance.now() - begun);
    lab.exec("node2", ["kill", "-STOP", engine]);
    try {
      const waiting = await docker(lab, "node2").fails("ps");
      assert.match(
        waiting.stderr,
        /creel-engine \(process \d+\) has not answered for 10 s .*containers go on/,
      );
      note(`a request that waited is answered after ${since()}`);
      await docker(lab, "node2").fails("ps");
      await nodeState(lab, "node1", "node2", "down");
      await until("four tasks elsewhere", async () => (await runningTasks(lab, "node1", "web")).length === 4);
      note(`its tasks run elsewhere after ${since()}`);
    } finally {
      lab.exec("node2", ["kill", "-CONT", engine]);
    }
    await nodeState(lab, "node1", "node2", "ready");
    await until("surplus tasks are gone", async () => {
      const wanted = ids(await runningTasks(lab, "node1"));
      return [...(await processIds(lab, "node2")).keys()].every((name) =>
        wanted.includes(name.split(".").at(-1)!),
      );
    });
  });

  it("leaves nothing on its hosts when the service is gone", async () => {
    await docker(fixture.lab).ok("service", "rm", "web");
    await until("all are gone", async () => {
      const counts = await Promise.all(hosts().map(({ name }) => processIds(fixture.lab, name)));
      return counts.every(({ size }) => size === 0);
    });
  });
});
