import assert from "node:assert/strict";
import { type Cli, docker } from "../../src/cli.ts";
import { killProgram } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { busyboxImage } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

interface Health {
  Status: string;
  FailingStreak: number;
  Log: { Start: string; ExitCode: number; Output: string }[];
}
interface Inspected {
  RestartCount: number;
  State: { Status: string; ExitCode: number; Pid: number; Health?: Health };
}

/** Often, and with little patience. */
const OFTEN = ["--health-interval", "100ms", "--health-retries", "2"];

describe("what a container's life depends on", function () {
  this.timeout(60_000);
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
    await run("slow", ...OFTEN, "--health-timeout", "200ms", "--health-cmd", "sleep 500");
    await becomes("slow", "unhealthy");
    const { Log } = await health("slow");
    assert.equal(Log[0]!.ExitCode, -1);
    assert.match(Log[0]!.Output, /Health check exceeded timeout \(0\.2 ?s\)/);
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
});
