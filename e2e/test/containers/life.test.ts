import assert from "node:assert/strict";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { type Cli, docker } from "../../src/cli.ts";
import { killProgram } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { strays } from "../../src/host-leaks.ts";
import { busyboxImage } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

interface Health {
  Status: string;
  FailingStreak: number;
  Log: { Start: string; ExitCode: number; Output: string }[];
}
interface Inspected {
  RestartCount: number;
  State: {
    Status: string;
    Running: boolean;
    ExitCode: number;
    Pid: number;
    FinishedAt: string;
    Health?: Health;
  };
}

/** Often, and with little patience. */
const OFTEN = ["--health-interval", "100ms", "--health-retries", "2"];

describe("what a container's life depends on", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  const inspect = async (name: string) => (JSON.parse(await cli.ok("inspect", name)) as [Inspected])[0];
  const health = async (name: string) => (await inspect(name)).State.Health!;
  const becomes = (name: string, status: string) =>
    until(`${name} is ${status}`, async () => (await health(name)).Status === status);
  const run = (name: string, ...words: string[]) =>
    cli.ok("run", "-d", "--name", name, ...words, "busybox", "sleep", "1000");

  before(async () => {
    cli = docker(fixture.lab);
    await fixture.lab.rest("node1").post("/images/load", await busyboxImage());
  });

  it("an image's health check, in a shell and without one, and a container that wants none", async () => {
    await run("plain");
    const check = "HEALTHCHECK --interval=100ms --retries=2 CMD";
    await cli.ok(
      "commit",
      "-c",
      `${check} test -e /tmp/ok || echo missing >&2 && test -e /tmp/ok`,
      "plain",
      "shell",
    );
    await cli.ok("commit", "-c", `${check} ["test", "-e", "/tmp/ok"]`, "plain", "words");
    await cli.ok("commit", "-c", "HEALTHCHECK NONE", "plain", "none");
    for (const image of ["shell", "words"]) {
      await cli.ok("run", "-d", "--name", image, image);
      await becomes(image, "unhealthy");
      await cli.ok("exec", image, "touch", "/tmp/ok");
      await becomes(image, "healthy");
      const { FailingStreak, Log } = await health(image);
      assert.equal(FailingStreak, 0);
      assert.ok(Log.length <= 5 && Log.some(({ ExitCode }) => ExitCode === 0));
    }
    assert.ok(
      (await health("shell")).Log.every(({ ExitCode, Output }) => ExitCode === 0 || Output === "missing\n"),
    );
    await cli.ok("run", "-d", "--name", "without", "--no-healthcheck", "shell");
    await cli.ok("run", "-d", "--name", "never", "none");
    for (const name of ["without", "never"]) assert.equal((await inspect(name)).State.Health, undefined);
    assert.equal(
      await cli.ok("ps", "-q", "--filter", "health=healthy", "--filter", "name=shell"),
      await cli.ok("ps", "-qf", "name=shell"),
    );
  });

  it("a check that takes too long has failed, and does not go on", async () => {
    await run("slow", ...OFTEN, "--health-timeout", "200ms", "--health-cmd", "echo tired; exec sleep 500");
    await becomes("slow", "unhealthy");
    const { Log } = await health("slow");
    assert.equal(Log[0]!.ExitCode, -1);
    assert.equal(Log[0]!.Output, "Health check exceeded timeout (200ms): tired\n");
    await until("no check is left of", async () => {
      const count = (await cli.ok("exec", "slow", "ps"))
        .split("\n")
        .filter((line) => line.includes("sleep 500"));
      // the one under way
      return count.length <= 1;
    });
  });

  it("failures in the start period count for nothing; the first success ends it", async () => {
    const period = ["--health-start-period", "1h", "--health-start-interval", "100ms"];
    await run("starting", ...OFTEN, ...period, "--health-cmd", "test -e /tmp/ok");
    await until("it was checked", async () => (await health("starting")).Log.length === 5);
    assert.deepEqual(
      [(await health("starting")).Status, (await health("starting")).FailingStreak],
      ["starting", 0],
    );
    await cli.ok("exec", "starting", "touch", "/tmp/ok");
    await becomes("starting", "healthy");
    await cli.ok("exec", "starting", "rm", "/tmp/ok");
    await becomes("starting", "unhealthy");
  });

  it("outlives its engine: what runs goes on, what ended is known, health is what it was", async () => {
    await run("ends");
    await run("always", "--restart", "always");
    await run("paused");
    await cli.ok("pause", "paused");
    await run("gone", ...OFTEN, "--health-cmd", "echo bye");
    await becomes("gone", "healthy");
    await cli.ok("kill", "gone");
    assert.equal((await health("gone")).Status, "unhealthy");
    const was = await inspect("always");
    const ends = (await inspect("ends")).State.Pid;
    await killProgram(fixture.lab, "node1", "engine", ends);
    assert.equal((await health("starting")).Status, "unhealthy");
    assert.deepEqual(
      [(await inspect("always")).State.Pid, (await inspect("paused")).State.Status],
      [was.State.Pid, "paused"],
    );
    const { State } = await inspect("ends");
    assert.deepEqual([State.Status, State.ExitCode], ["exited", 137]);
    assert.equal((await health("gone")).Log.at(-1)!.Output, "bye\n");
    const [last] = (await health("shell")).Log.slice(-1);
    await until("it is checked again", async () => (await health("shell")).Log.at(-1)!.Start > last!.Start);
    assert.equal((await health("shell")).Status, "healthy");
    await cli.ok("unpause", "paused");
  });

  it("starts again as its policy says, each time after twice the wait", async () => {
    const since = String(Date.now() / 1000 - 1);
    const name = "fails";
    await cli.ok("run", "-d", "--name", name, "--restart", "on-failure:3", "busybox", "sh", "-c", "exit 5");
    await until("it gives up", async () => (await inspect(name)).State.Status === "exited");
    const { RestartCount, State } = await inspect(name);
    assert.deepEqual([RestartCount, State.ExitCode], [3, 5]);
    const filters = ["--filter", `container=${name}`, "--filter", "event=start", "--filter", "event=die"];
    const span = ["--since", since, "--until", String(Date.now() / 1000 + 1)];
    const lines = await cli.ok("events", ...filters, ...span, "--format", "{{.Action}} {{.TimeNano}}");
    const times = lines.split("\n").map((line) => Number(BigInt(line.split(" ")[1]!) / 1_000_000n));
    assert.equal(times.length, 8, lines);
    // from each end to the next start
    const waits = [2, 4, 6].map((start) => times[start]! - times[start - 1]!);
    for (const [i, least] of [100, 200, 400].entries()) assert.ok(waits[i]! >= least - 5, waits.join());
  });

  it("gives up its restarts with a stop, and begins them anew with a start", async () => {
    const loop = ["--restart", "always", "busybox", "sh", "-c", "exit 3"];
    await cli.ok("run", "-d", "--name", "loop", ...loop);
    const waits = (count: number) =>
      until(`restart ${count} is waited for`, async () => {
        const now = await inspect("loop");
        return now.RestartCount >= count && now.State.Status === "restarting" && now;
      });
    const before = await waits(5);
    assert.deepEqual([before.State.ExitCode, before.State.Running], [3, true]);
    const restarting = /Container \w+ is restarting, wait until the container is running/;
    const asked = ["exec loop true", "pause loop", "top loop"].map((words) => cli.fails(...words.split(" ")));
    for (const { stderr } of await Promise.all(asked)) assert.match(stderr, restarting);
    assert.match(
      (await cli.fails("rm", "loop")).stderr,
      /container is restarting: stop the container before/,
    );
    await cli.ok("stop", "loop");
    const { RestartCount, State } = await inspect("loop");
    assert.deepEqual([State.Status, State.ExitCode], ["exited", 3]);
    if (RestartCount === before.RestartCount) assert.equal(State.FinishedAt, before.State.FinishedAt);
    await cli.ok("start", "loop");
    // with the waits of before it would take twice as long
    await until("it starts over", async () => (await inspect("loop")).RestartCount >= 3, 5_000);
    await cli.ok("update", "--restart", "no", "loop");
    await until("it is left alone", async () => (await inspect("loop")).State.Status === "exited");
    await cli.ok("update", "--restart", "always", "loop");
    await cli.ok("start", "loop");
    await waits(4);
    await cli.ok("kill", "-s", "HUP", "loop");
    assert.equal((await inspect("loop")).State.Status, "exited", "any signal ends the waiting");
    await cli.ok("rm", "loop");
  });

  it("stays killed, whatever its restart was about to do", async () => {
    const rest = fixture.lab.rest("node1");
    const body = { Image: "busybox", Cmd: ["true"], HostConfig: { RestartPolicy: { Name: "always" } } };
    const killed = await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        const { Id } = await rest.post<{ Id: string }>("/containers/create", body);
        await rest.post(`/containers/${Id}/start`);
        await delay(60 + 5 * i);
        await rest.post(`/containers/${Id}/kill`);
        return Id;
      }),
    );
    const first = await Promise.all(killed.map(inspect));
    for (const { State } of first) assert.equal(State.Status, "exited");
    // longer than any of them would wait
    await delay(1000);
    assert.deepEqual(
      (await Promise.all(killed.map(inspect))).map(({ State }) => State),
      first.map(({ State }) => State),
    );
    await cli.ok("rm", ...killed);
  });

  it("whose shim is killed while the engine is away has ended with 255, and nothing of it goes on", async () => {
    await run("lost", "-p", "8099:80", "-v", "data:/data");
    await run("again", "--restart", "always");
    const pids = await Promise.all(["lost", "again"].map(async (name) => (await inspect(name)).State.Pid));
    const shims = pids.map((pid) => {
      const { stdout } = fixture.lab.exec("node1", ["grep", "PPid", `/proc/${pid}/status`]);
      return Number(stdout.split("\t")[1]);
    });
    await killProgram(fixture.lab, "node1", "engine", ...shims);
    const { State } = await inspect("lost");
    assert.deepEqual([State.Status, State.ExitCode], ["exited", 255]);
    assert.match(await cli.ok("ps", "-a", "-f", "name=lost", "--format", "{{.Status}}"), /^Exited \(255\)/);
    await until("it runs again", async () => (await inspect("again")).State.Status === "running");
    assert.equal((await inspect("again")).RestartCount, 0, "it was started with the engine");
    for (const pid of pids)
      assert.notEqual(fixture.lab.exec("node1", ["test", "-e", `/proc/${pid}`]).code, 0, "it has ended");
    await until("nothing is left", async () => (await strays(fixture.lab, "node1")).length === 0);
    await cli.ok("start", "lost");
    await cli.ok("rm", "-f", "lost", "again");
  });

  describe("is waited for", () => {
    /** Resolves once the wait has begun: with its status, and its answer to come. */
    const begin = (name: string, condition: string) =>
      new Promise<{ status: number; answer: Promise<Record<string, unknown>> }>((resolve, reject) => {
        const path = `/containers/${name}/wait?condition=${condition}`;
        const socketPath = fixture.lab.socket("node1");
        const asking = request({ socketPath, path, method: "POST", agent: false }, (response) =>
          resolve({
            status: response.statusCode!,
            answer: json(response) as Promise<Record<string, unknown>>,
          }),
        );
        asking.on("error", reject).end();
      });
    /** Whether an answer has come. */
    const has = (answer: Promise<unknown>) =>
      Promise.race([answer.then(() => true), cli.ok("version").then(() => false)]);
    const create = (name: string, ...words: string[]) =>
      cli.ok("create", "--name", name, ...words, "busybox", "sh", "-c", "exit 7");

    it("until it does not run, which may be so already", async () => {
      await create("idle");
      assert.deepEqual(await (await begin("idle", "not-running")).answer, { StatusCode: 0 });
      await run("busy");
      const { status, answer } = await begin("busy", "");
      assert.deepEqual([status, await has(answer)], [200, false]);
      await cli.ok("kill", "busy");
      assert.deepEqual(await answer, { StatusCode: 137 });
      assert.deepEqual(await (await begin("busy", "not-running")).answer, { StatusCode: 137 });
    });

    it("until it ends the next time, also where it has not begun", async () => {
      for (const _ of ["created", "exited"]) {
        const { answer } = await begin("idle", "next-exit");
        assert.equal(await has(answer), false);
        await cli.ok("start", "idle");
        assert.deepEqual(await answer, { StatusCode: 7 });
      }
      const { answer } = await begin("idle", "next-exit");
      await cli.ok("rm", "idle");
      assert.equal(typeof (await answer).StatusCode, "number", "nobody waits for what is gone");
    });

    it("until it is removed, by itself or by somebody", async () => {
      await create("itself", "--rm");
      const itself = await begin("itself", "removed");
      await cli.ok("start", "itself");
      assert.deepEqual(await itself.answer, { StatusCode: 7 });
      assert.match((await cli.fails("inspect", "itself")).stderr, /No such object: itself/);
      await create("kept");
      const kept = await begin("kept", "removed");
      const next = await begin("kept", "next-exit");
      await cli.ok("start", "kept");
      assert.deepEqual([await next.answer, await has(kept.answer)], [{ StatusCode: 7 }, false]);
      await cli.ok("rm", "kept");
      assert.deepEqual(await kept.answer, { StatusCode: 7 });
    });

    it("in vain, where there is none or the condition is none", async () => {
      for (const condition of ["not-running", "next-exit", "removed"]) {
        const { status, answer } = await begin("kept", condition);
        assert.deepEqual([status, await answer], [404, { message: "No such container: kept" }]);
      }
      const { status, answer } = await begin("busy", "never");
      assert.equal(status, 400);
      assert.match(String((await answer).message), /^invalid condition: "never"/);
    });
  });
});
