import assert from "node:assert/strict";
import { ociRuntime } from "../../src/bundle.ts";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

describe("containers by other OCI runtimes", function () {
  this.timeout(60_000);
  const fixture = useLab({
    nodes: 1,
    managers: 1,
    join: false,
    flags: ["--add-runtime", `own=${ociRuntime}`],
  });
  let cli: Cli;

  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
  });

  it("are listed, and one that is not there is refused", async () => {
    const info = JSON.parse(await cli.ok("info", "--format", "{{json .}}"));
    assert.deepEqual(
      Object.keys(info.Runtimes)
        .filter((name) => name !== "crun")
        .sort(),
      ["creel", "own", "runc"],
    );
    assert.equal(info.DefaultRuntime, "creel");
    const { code, stderr } = await cli.fails("run", "--runtime", "nothing", "busybox", "true");
    assert.equal(code, 125);
    assert.match(stderr, /unknown or invalid runtime name: nothing/);
    assert.equal(await cli.ok("ps", "-aq"), "");
  });

  for (const runtime of ["runc", "own"]) {
    describe(runtime, () => {
      const run = (...args: string[]) => cli.run(["run", "--runtime", runtime, ...args]);

      it("gives output and exit status", async () => {
        const result = await run("--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7");
        assert.deepEqual(result, { code: 7, stdout: "out\n", stderr: "err\n" });
        assert.equal((await run("--rm", "busybox", "nothing")).code, 127);
        assert.equal((await run("--rm", "busybox", "/etc/passwd")).code, 126);
        const { stdout } = await run("--rm", "busybox", "grep", "-E", "CapEff|Seccomp:", "/proc/self/status");
        assert.match(stdout, /CapEff:\s+00000000a80425fb\nSeccomp:\s+2/);
        const input = await cli.run(["run", "--rm", "-i", "--runtime", runtime, "busybox", "cat"], {
          input: "in",
        });
        assert.equal(input.stdout, "in");
      });

      it("execs, has a terminal, pauses, limits, logs and ends", async () => {
        const script = "trap 'echo stopping; exit 3' TERM; echo begun; while :; do sleep 0.1; done";
        const begun = await run("-d", "-t", "--name", "tried", "-m", "32m", "busybox", "sh", "-c", script);
        assert.equal(begun.code, 0, begun.stderr);
        assert.equal(
          await cli.ok("inspect", "-f", "{{.HostConfig.Runtime}} {{.State.Status}}", "tried"),
          `${runtime} running`,
        );
        assert.match(await cli.ok("exec", "tried", "ps"), /sleep 0\.1/);
        assert.match(await cli.ok("exec", "-t", "tried", "sh", "-c", "test -t 0 && echo tty"), /tty/);
        assert.equal((await cli.run(["exec", "tried", "sh", "-c", "exit 9"])).code, 9);
        await cli.ok("pause", "tried");
        assert.equal(await cli.ok("inspect", "-f", "{{.State.Status}}", "tried"), "paused");
        await cli.ok("unpause", "tried");
        await until("the log", async () => (await cli.ok("logs", "tried")).includes("begun"));
        await cli.ok("stop", "tried");
        assert.equal(await cli.ok("inspect", "-f", "{{.State.ExitCode}}", "tried"), "3");
        assert.match(await cli.ok("logs", "tried"), /begun\s+stopping/);
        await cli.ok("start", "tried");
        await cli.ok("rm", "-f", "tried");
      });
    });
  }
});
