import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { answers, attackImage } from "../../src/attacks.ts";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { hostProcesses, memoryHolds } from "../../src/processes.ts";
import { until } from "../../src/wait.ts";

const UNWRITABLE = [
  ...[
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/domainname",
    "/proc/sys/vm/drop_caches",
    "/proc/irq/0/smp_affinity",
  ],
  ...[
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/sys/kernel/mm/ksm/run",
    "/sys/power/state",
  ],
  ...[
    "/sys/fs/cgroup/pids/cgroup.procs",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/kernel/uevent_helper",
  ],
  ...["/sys/fs/cgroup/devices/devices.allow", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/release_agent"],
];

describe("what a container may ask of the kernel", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  const attack = (...args: string[]) => ["attack", "/attack", ...args];

  before(async () => {
    cli = docker(fixture.lab);
    await fixture.lab.rest("node1").post("/images/load", await attackImage());
    await cli.ok("run", "-d", "--name", "prey", "attack", "sleep", "1000");
  });

  it("is nothing of the host's, in run as in exec", async () => {
    const calls = [
      await cli.ok("run", "--rm", ...attack("calls")),
      await cli.ok("run", "--rm", "-u", "app", ...attack("calls")),
      await cli.ok("exec", "prey", "/attack", "calls"),
      await cli.ok("exec", "-u", "app", "prey", "/attack", "calls"),
      // Capabilities are not the seccomp policy, which stays the container's.
      await cli.ok(
        "run",
        "--rm",
        "--cap-add",
        "SYS_PTRACE",
        "--security-opt",
        "no-new-privileges",
        "-u",
        "app",
        ...attack("calls"),
      ),
    ].map(answers);
    for (const found of calls) {
      assert.ok(Object.keys(found).length >= 20);
      assert.deepEqual(
        Object.entries(found).filter(([, how]) => how === "ok"),
        [],
      );
      for (const name of [
        "add-key",
        "read-keys",
        "request-key",
        "user-namespace",
        "userfaultfd",
        "io-uring",
        "bpf",
      ])
        assert.equal(found[name], "EPERM", name);
    }
  });

  it("is nothing of the host's from a user namespace of its own, where nothing filters its calls", async () => {
    const open = ["--security-opt", "seccomp=unconfined"];
    const calls = answers(await cli.ok("run", "--rm", ...open, ...attack("calls")));
    const found = Object.entries(calls).filter(([, how]) => how === "ok");
    const own = ["user-namespace", "add-key", "read-keys", "request-key", "io-uring", "userfaultfd"];
    assert.deepEqual(
      found.filter(([name]) => !own.includes(name)),
      [],
    );
    const nested = answers(await cli.ok("run", "--rm", ...open, ...attack("nested")));
    assert.deepEqual(Object.keys(nested), ["mask", "remount", "release-agent", "proc"]);
    for (const [name, how] of Object.entries(nested)) assert.notEqual(how, "ok", name);
  });

  it("is no write to what rules the machine", async () => {
    for (const args of [
      ["run", "--rm", ...attack("writes", ...UNWRITABLE)],
      ["exec", "prey", "/attack", "writes", ...UNWRITABLE],
    ])
      for (const [path, how] of Object.entries(answers(await cli.ok(...args))))
        assert.match(how, /^(EROFS|EACCES|EPERM|ENOENT)$/, path);
    const known = await cli.ok(
      "exec",
      "prey",
      "sh",
      "-c",
      "cd /dev && busybox find . ! -type d ! -type l | busybox sort",
    );
    assert.deepEqual(known.split("\n"), [
      ...["./full", "./null", "./pts/ptmx", "./random", "./tty", "./urandom", "./zero"],
    ]);
  });

  it("is one session keyring of its own for each", async () => {
    const open = ["--security-opt", "seccomp=unconfined"];
    const serial = async () => answers(await cli.ok("run", "--rm", ...open, ...attack("keys"))).session;
    const [one, two] = [await serial(), await serial()];
    assert.match(one!, /^\d+$/);
    assert.notEqual(one, two);
    await cli.ok("run", "-d", "--name", "keyed", ...open, "attack", "sleep", "1000");
    const inside = answers(await cli.ok("exec", "keyed", "/attack", "keys")).session;
    assert.ok(inside !== one && inside !== two);
    await cli.ok("rm", "-f", "keyed");
  });

  it("is what it was given, in exec too, and more only where that is asked for", async () => {
    const status = async (...args: string[]) => {
      const text = await cli.ok(...args, "cat", "/proc/self/status");
      const lines = text.split("\n").map((line) => line.split(":\t") as [string, string]);
      const kept = /^(Cap...|Seccomp|Seccomp_filters|NoNewPrivs|Uid|Gid|Groups)$/;
      return Object.fromEntries(
        lines.filter(([name]) => kept.test(name)).map(([name, value]) => [name, value?.trim()]),
      );
    };
    const sets: string[][] = [
      [],
      ["--cap-drop", "ALL", "--cap-add", "NET_RAW"],
      ["-u", "app"],
      ["--security-opt", "no-new-privileges", "--cap-drop", "CHOWN"],
      ["--security-opt", "seccomp=unconfined"],
    ];
    for (const options of sets) {
      const name = `same-${sets.indexOf(options)}`;
      const run = await status("run", "--rm", ...options, "attack");
      await cli.ok("run", "-d", "--name", name, ...options, "attack", "sleep", "1000");
      assert.deepEqual(await status("exec", name), run, options.join(" "));
      const privileged = await status("exec", "--privileged", name);
      assert.equal(privileged.Seccomp, run.Seccomp);
      assert.notEqual(privileged.CapBnd, run.CapBnd);
      const user = await status("exec", "-u", "1000", name);
      assert.deepEqual([user.CapPrm, user.CapEff, user.CapAmb], Array(3).fill("0".repeat(16)));
      assert.deepEqual([user.CapBnd, user.Seccomp], [run.CapBnd, run.Seccomp]);
      await cli.ok("rm", "-f", name);
    }
  });

  it("is no more by a set-user-id program where there are to be no new privileges", async () => {
    const made = "busybox cp /attack /raise && busybox chmod 4755 /raise; sleep 1000";
    const found: string[] = [];
    for (const [name, ...options] of [["usual"], ["bound", "--security-opt", "no-new-privileges"]] as const) {
      await cli.ok("run", "-d", "--name", name, ...options, "attack", "sh", "-c", made);
      const raised = () => cli.run(["exec", "-u", "app", name, "/raise", "user"]);
      await until(
        "the program is there",
        async () =>
          (await raised()).code === 0 &&
          (await cli.ok("exec", name, "busybox", "stat", "-c", "%a", "/raise")) === "4755",
      );
      found.push((await raised()).stdout);
      await cli.ok("rm", "-f", name);
    }
    assert.deepEqual(found, ["0\n", "1000\n"]);
  });

  it("is no look into the shim, nor a word with it", async () => {
    const running = hostProcesses(fixture.lab, "node1");
    const spied = running.filter(({ command }) => /^creel-shim|creel-engine |creeld/.test(command));
    assert.ok(spied.length >= 4, "daemon, engine, zygote, shim");
    const host = ["run", "--rm", "--pid", "host", "--network", "host"];
    for (const { inside, command } of spied) {
      const found = answers(await cli.ok(...host, ...attack("spy", String(inside))));
      assert.equal(Object.keys(found).length, 12);
      assert.deepEqual(
        Object.entries(found).filter(([, how]) => how === "ok"),
        [],
        command,
      );
    }
    const run = fixture.lab.execRoot("node1");
    const paths = [
      `${run}/engine.sock`,
      fixture.lab.socket("node1"),
      "/run/docker.sock",
      "/var/run/docker.sock",
    ];
    const said = await cli.ok(...host, ...attack("sockets", ...paths));
    assert.match(said, /^tried=(\d+)$/, "a socket of the host's answered");
    assert.ok(Number(said.slice(6)) > paths.length, "the host's sockets are known by name");
  });

  it("is no secret of another's, in the memory, environment or command line of a process of ours", async () => {
    const marker = `m${randomBytes(12).toString("hex")}`;
    await cli.ok("run", "-d", "--name", "knows", "-e", `PASSWORD=${marker}`, "attack", "sleep", "1000");
    await cli.ok("exec", "-e", `TOKEN=${marker}`, "knows", "true");
    const running = hostProcesses(fixture.lab, "node1");
    for (const { pid, command } of running) {
      for (const file of ["environ", "cmdline"])
        assert.ok(!readFileSync(`/proc/${pid}/${file}`, "latin1").includes(marker), `${file} of ${command}`);
    }
    // The engine keeps what the container is to be started with again; those beside the container do not.
    const engine = running.find(({ command }) => command.includes("creel-engine "));
    assert.ok(await memoryHolds(engine!.pid, marker), "memory can be searched");
    const shims = running.filter(({ command }) => command.startsWith("creel-shim"));
    assert.ok(shims.length >= 3, "the zygote and two shims");
    for (const { pid, command } of shims) assert.ok(!(await memoryHolds(pid, marker)), command);
    await cli.ok("rm", "-f", "knows");
  });

  it("ends for a container alone that makes processes without end", async () => {
    const result = await cli.run(["run", "--rm", "--pids-limit", "40", ...attack("forks")]);
    assert.deepEqual(answers(result.stdout), { forks: "39", fork: "EAGAIN" });
    assert.equal(await cli.ok("exec", "prey", "echo", "well"), "well");
  });

  it("ends for a container alone that takes memory without end", async () => {
    const result = await cli.run([
      "run",
      "--name",
      "greedy",
      "--memory",
      "32m",
      "--memory-swap",
      "32m",
      ...attack("memory"),
    ]);
    assert.equal(result.code, 137);
    assert.equal(await cli.ok("inspect", "-f", "{{.State.OOMKilled}}", "greedy"), "true");
    assert.equal(await cli.ok("exec", "prey", "echo", "well"), "well");
    await cli.ok("rm", "greedy");
  });
});
