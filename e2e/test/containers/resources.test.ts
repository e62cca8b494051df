import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

describe("a container's resources", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  const host = async (name: string) =>
    JSON.parse(await cli.ok("inspect", "-f", "{{json .HostConfig}}", name)) as Record<string, unknown>;

  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
    await cli.ok(
      "run",
      "-d",
      "--name",
      "one",
      "--memory",
      "64m",
      "--memory-swap",
      "-1",
      "busybox",
      "sleep",
      "1000",
    );
  });

  it("are limited anew while it runs, in the kernel", async () => {
    const spawn = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo done";
    assert.equal(await cli.ok("exec", "one", "sh", "-c", spawn), "done");
    await cli.ok("update", "--pids-limit", "4", "--memory", "32m", "--cpus", "0.5", "one");
    assert.notEqual((await cli.run(["exec", "one", "sh", "-c", spawn])).code, 0);
    const { Memory, NanoCpus, PidsLimit, MemorySwap } = await host("one");
    assert.deepEqual([Memory, NanoCpus, PidsLimit, MemorySwap], [32 << 20, 500_000_000, 4, -1]);
    await cli.ok("update", "--pids-limit", "100", "one");
    await until(
      "the limit is wide again",
      async () => (await cli.ok("exec", "one", "sh", "-c", spawn)) === "done",
    );
    // below what 48 MB take: the kernel ends it
    const fill = "dd if=/dev/zero of=/dev/null bs=48M count=1";
    assert.notEqual((await cli.run(["exec", "one", "sh", "-c", fill])).code, 0);
    await cli.ok("update", "--memory", "96m", "one");
    assert.equal((await cli.run(["exec", "one", "sh", "-c", fill])).code, 0);
  });

  it("leave what was asked for as it is where another limit changes", async () => {
    const flags = ["--name", "patient", "--memory", "64m", "--oom-kill-disable"];
    await cli.ok("run", "-d", ...flags, "busybox", "sleep", "1000");
    await cli.ok("update", "--memory", "96m", "--memory-swap", "96m", "patient");
    // on v2 there is no such thing
    const look = "cat /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null || echo oom_kill_disable 1";
    assert.match(await cli.ok("exec", "patient", "sh", "-c", look), /^oom_kill_disable 1$/m);
    await cli.ok("rm", "-f", "patient");
  });

  it("stay limited at the next start, and so does what follows an end", async () => {
    await cli.ok("update", "--restart", "on-failure:2", "one");
    assert.deepEqual((await host("one")).RestartPolicy, { Name: "on-failure", MaximumRetryCount: 2 });
    await cli.ok("stop", "-t", "0", "one");
    await cli.ok("start", "one");
    assert.equal((await host("one")).Memory, 96 << 20);
    await cli.ok("create", "--name", "idle", "busybox", "true");
    await cli.ok("update", "--cpu-shares", "512", "idle");
    assert.equal((await host("idle")).CpuShares, 512);
  });

  it("are told, once and as they change", async () => {
    const busy = "while :; do :; done";
    await cli.ok(
      "run",
      "-d",
      "--name",
      "busy",
      "--memory",
      "64m",
      "--pids-limit",
      "9",
      "busybox",
      "sh",
      "-c",
      busy,
    );
    const format = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}} {{.NetIO}}";
    const line = await cli.ok("stats", "--no-stream", "--format", format, "busy");
    const [, cpu] =
      /^busy ([0-9.]+)% [0-9.]+[KM]iB \/ 64MiB 1 [0-9.]+k?B \/ [0-9.]+k?B$/.exec(line) ?? assert.fail(line);
    assert.ok(Number(cpu) > 1, line);

    type Sample = Record<"cpu_stats" | "precpu_stats", { cpu_usage: { total_usage: number } }> &
      Record<"networks" | "pids_stats" | "memory_stats", Record<string, unknown>>;
    const request = get({ socketPath: fixture.lab.socket("node1"), path: "/containers/busy/stats" });
    const [answer] = (await once(request, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of answer) {
      text += chunk;
      if (text.split("\n").length > 3) break;
    }
    const samples = text.split("\n", 3).map((line) => JSON.parse(line) as Sample);
    const [one, two, three] = samples.map((sample) => sample.cpu_stats.cpu_usage.total_usage);
    assert.ok(one! < two! && two! < three!);
    assert.equal(samples[2]!.precpu_stats.cpu_usage.total_usage, two);
    assert.deepEqual(samples[0]!.pids_stats, { current: 1, limit: 9 });
    assert.equal(samples[0]!.memory_stats.limit, 64 << 20);
    assert.deepEqual(Object.keys(samples[0]!.networks), ["eth0"]);
    await cli.ok("rm", "-f", "busy");
    assert.match((await cli.fails("stats", "--no-stream", "nobody")).stderr, /No such container: nobody/);
  });

  it("says what is wrong", async () => {
    assert.match(
      (await cli.fails("update", "--memory", "64m", "nobody")).stderr,
      /No such container: nobody/,
    );
    assert.match(
      (await cli.fails("update", "--restart", "sometimes", "one")).stderr,
      /unknown policy|invalid restart policy/,
    );
    assert.match(
      (await cli.fails("update", "--memory", "1m", "one")).stderr,
      /Minimum memory limit allowed is 6MB/,
    );
    assert.match((await cli.fails("update", "--cpu-quota", "50000", "one")).stderr, /Conflicting options/);
    await cli.ok("create", "--name", "passing", "--rm", "busybox");
    assert.match((await cli.fails("update", "--restart", "always", "passing")).stderr, /AutoRemove/);
  });
});
