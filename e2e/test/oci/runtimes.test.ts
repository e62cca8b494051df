import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ociRuntime } from "../../src/bundle.ts";
import { type Cli, docker } from "../../src/cli.ts";
import { killProgram } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "creel-runtimes-"));
/** While it is there, the runtime `moody` makes nothing. */
const mood = join(dir, "mood");
const moody = join(dir, "moody");
writeFileSync(
  moody,
  `#!/bin/sh\ncase "$*" in *" create "*) [ -e ${mood} ] && exit 1;; esac\nexec runc "$@"\n`,
  {
    mode: 0o755,
  },
);

describe("containers by other OCI runtimes", function () {
  this.timeout(180_000);
  const fixture = useLab({
    nodes: 1,
    managers: 1,
    join: false,
    flags: ["--add-runtime", `own=${ociRuntime}`, "--add-runtime", `moody=${moody}`],
  });
  let cli: Cli;

  after(() => rmSync(dir, { recursive: true, force: true }));
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
      ["creel", "moody", "own", "runc"],
    );
    assert.equal(info.DefaultRuntime, "creel");
    const { code, stderr } = await cli.fails("run", "--runtime", "nothing", "busybox", "true");
    assert.equal(code, 125);
    assert.match(stderr, /unknown or invalid runtime name: nothing/);
    assert.equal(await cli.ok("ps", "-aq"), "");
  });

  it("that fail are asked again for containers that are to run always", async () => {
    const shell = ["sh", "-c", "sleep 0.3"];
    await cli.ok(
      "run",
      "-d",
      "--name",
      "again",
      "--restart",
      "always",
      "--runtime",
      "moody",
      "busybox",
      ...shell,
    );
    const inspect = (format: string) => cli.ok("inspect", "-f", format, "again");
    writeFileSync(mood, "");
    await until("a start that failed", async () => (await inspect("{{.State.Error}}")).includes("moody"));
    assert.equal(await inspect("{{.State.Status}}"), "restarting");
    rmSync(mood);
    await until("its next life", async () => (await inspect("{{.State.Status}}")) === "running");
    assert.equal(await inspect("{{.State.Error}}"), "");
    await cli.ok("rm", "-f", "again");
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

      it("changes limits, counts, and tells of a want of memory", async () => {
        await run("-d", "--name", "limited", "-m", "64m", "busybox", "sleep", "600");
        await cli.ok("update", "-m", "48m", "--memory-swap", "48m", "--pids-limit", "30", "limited");
        const stats = await cli.ok("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "limited");
        assert.match(stats, /\/ 48MiB 1$/);
        const dd = ["dd", "if=/dev/zero", "of=/dev/null", "bs=128M"];
        assert.equal((await cli.run(["exec", "limited", ...dd])).code, 137);
        const hungry = await run("--name", "hungry", "-m", "24m", "--memory-swap", "24m", "busybox", ...dd);
        assert.equal(hungry.code, 137);
        assert.equal(await cli.ok("inspect", "-f", "{{.State.OOMKilled}}", "hungry"), "true");
        await cli.ok("rm", "-f", "limited", "hungry");
      });

      it("looks after health, starts again what fails, and resizes a terminal", async () => {
        const probe = [
          "--health-cmd",
          "test -e /tmp/well",
          "--health-interval",
          "200ms",
          "--health-retries",
          "1",
        ];
        const shell = ["sh", "-c", "trap 'stty size' WINCH; while :; do sleep 0.1; done"];
        await run("-d", "-t", "--name", "watched", ...probe, "busybox", ...shell);
        await run("-d", "--name", "failing", "--restart", "on-failure:1", "busybox", "sh", "-c", "exit 3");
        const health = () => cli.ok("inspect", "-f", "{{.State.Health.Status}}", "watched");
        await until("a bad health", async () => (await health()) === "unhealthy");
        await cli.ok("exec", "watched", "touch", "/tmp/well");
        await until("a good one", async () => (await health()) === "healthy");
        await fixture.lab.rest("node1").post("/containers/watched/resize?h=33&w=77");
        await until("the new size", async () => (await cli.ok("logs", "watched")).includes("33 77"));
        const ended = "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}";
        await until(
          "its last end",
          async () => (await cli.ok("inspect", "-f", ended, "failing")) === "1 exited 3",
        );
        await cli.ok("rm", "-f", "watched", "failing");
      });

      it("keeps its containers when the engine is killed", async () => {
        await run("-d", "--name", "kept", "busybox", "sleep", "600");
        await run("-d", "--name", "ends", "busybox", "sh", "-c", "sleep 0.5; exit 4");
        const pid = await cli.ok("inspect", "-f", "{{.State.Pid}}", "kept");
        await killProgram(fixture.lab, "node1", "engine");
        assert.equal(await cli.ok("inspect", "-f", "{{.State.Pid}}", "kept"), pid);
        assert.equal(await cli.ok("wait", "ends"), "4");
        assert.match(await cli.ok("exec", "kept", "echo", "still there"), /still there/);
        await cli.ok("rm", "-f", "kept", "ends");
      });
    });
  }
});
