import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { buildImage, tar } from "../../tools/src/image.ts";
import { type Cli, docker } from "../src/cli.ts";
import { useLab } from "../src/fixture.ts";
import { busyboxImage, loadUsual } from "../src/images.ts";
import { until } from "../src/wait.ts";

describe("docker drives one node as a container engine", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;

  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
  });

  it("tells its version, negotiates, and describes itself", async () => {
    const version = JSON.parse(await cli.ok("version", "--format", "{{json .Server}}")) as {
      ApiVersion: string;
      MinAPIVersion: string;
    };
    assert.equal(version.ApiVersion, "1.51");
    assert.equal(version.MinAPIVersion, "1.24");
    const info = JSON.parse(await cli.ok("info", "--format", "{{json .}}")) as Record<string, unknown>;
    assert.equal(info.Driver, "overlay2");
    assert.equal(info.Name, "node1");
    assert.equal((info.Swarm as { LocalNodeState: string }).LocalNodeState, "inactive");
    for (const [version, status] of [
      ["1.24", 200],
      ["1.51", 200],
      ["1.23", 400],
      ["1.99", 400],
    ] as const) {
      const answer = await fixture.lab
        .rest("node1")
        .call("GET", `/v${version}/version`)
        .then(
          () => 200,
          (error: { status: number }) => error.status,
        );
      assert.equal(answer, status, `/v${version}`);
    }
  });

  it("runs a container to its end, with its output and exit status", async () => {
    const result = await cli.run(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert.deepEqual(result, { code: 7, stdout: "out\n", stderr: "err\n" });
    assert.equal(await cli.ok("ps", "-aq"), "");
  });

  it("hands standard input to a container, to its end", async () => {
    // Docker's detach keys (16, 17) among them: without a terminal they are bytes like all others.
    const input = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 0x7f)).fill(
      "\x10\x11",
      90_000,
      100_000,
    );
    const result = await cli.run(["run", "--rm", "-i", "busybox", "cat"], { input });
    assert.equal(result.stdout, input.toString());
  });

  it("runs commands in a running container, with their exit status", async () => {
    await cli.ok("run", "-d", "--name", "host", "busybox", "sleep", "1000");
    for (let i = 0; i < 5; i++)
      assert.equal((await cli.run(["exec", "host", "sh", "-c", `echo ${i}; exit 5`])).code, 5);
    const read = await cli.run(
      ["exec", "-i", "-e", "A=b", "-w", "/tmp", "host", "sh", "-c", "echo $A; pwd; cat"],
      { input: "in\n" },
    );
    assert.deepEqual(read, { code: 0, stdout: "b\n/tmp\nin\n", stderr: "" });
    await cli.ok("rm", "-f", "host");
  });

  it("has Docker's exit statuses where nothing could run", async () => {
    assert.equal((await cli.fails("run", "--rm", "busybox", "nothing-of-this-name")).code, 127);
    assert.equal((await cli.fails("run", "--rm", "busybox", "/etc")).code, 126);
    assert.equal((await cli.fails("run", "--rm", "--memory", "1", "busybox", "true")).code, 125);
    assert.equal(await cli.ok("ps", "-aq"), "");
  });

  it("keeps a container through create, start, stop, start, kill, wait and rm", async () => {
    const id = await cli.ok(
      "create",
      "--name",
      "life",
      "-l",
      "a=b",
      "busybox",
      "sh",
      "-c",
      "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done",
    );
    assert.match(id, /^[0-9a-f]{64}$/);
    await cli.ok("start", "life");
    await until("the first line", async () => (await cli.ok("logs", "life")) === "up");
    await cli.ok("stop", "life");
    const stopped = JSON.parse(await cli.ok("inspect", "life")) as [
      { State: { Status: string; ExitCode: number } },
    ];
    assert.deepEqual([stopped[0].State.Status, stopped[0].State.ExitCode], ["exited", 3]);
    await cli.ok("start", "life");
    assert.equal(await cli.ok("ps", "-q", "--no-trunc", "--filter", "label=a=b"), id);
    assert.match((await cli.fails("rm", "life")).stderr, /container is running/);
    const waiting = cli.ok("wait", "life");
    await cli.ok("kill", "life");
    assert.equal(await waiting, "137");
    await cli.ok("rm", "life");
    assert.match((await cli.fails("inspect", "life")).stderr, /no such object: life/i);
  });

  it("follows logs, with times and a tail", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "talk",
      "busybox",
      "sh",
      "-c",
      "for i in $(seq 1 50); do echo line $i; done; sleep 0.5; echo last >&2",
    );
    const followed = await cli.run(["logs", "-f", "talk"]);
    assert.equal(followed.stdout.split("\n").length, 51);
    assert.equal(followed.stderr, "last\n");
    assert.match(await cli.ok("logs", "-t", "-n", "2", "talk"), /^\d{4}-\d\d-\d\dT[\d:.]+Z line 50$/m);
    await cli.ok("rm", "talk");
  });

  it("attaches to a running container", async () => {
    await cli.ok("run", "-d", "-i", "--name", "joined", "busybox", "sh", "-c", "read word; echo got $word");
    const result = await cli.run(["attach", "joined"], { input: "hello\n" });
    assert.match(result.stdout, /got hello/);
    await cli.ok("rm", "-f", "joined");
  });

  it("isolates: own namespaces, Docker's capabilities, the seccomp filter, masked paths, limits", async () => {
    const script =
      "hostname; cat /proc/self/status; cat /proc/1/comm; ls /proc/acpi /proc/scsi 2>/dev/null; cat /proc/timer_list; mount -t tmpfs x /tmp";
    const result = await cli.run([
      "run",
      "--rm",
      "--hostname",
      "inner",
      "--memory",
      "64m",
      "--cpus",
      "0.5",
      "--pids-limit",
      "50",
      "busybox",
      "sh",
      "-c",
      script,
    ]);
    assert.match(result.stdout, /^inner$/m);
    assert.match(result.stdout, /^CapEff:\t00000000a80425fb$/m);
    assert.match(result.stdout, /^CapBnd:\t00000000a80425fb$/m);
    assert.match(result.stdout, /^Seccomp:\t2$/m);
    assert.match(result.stderr, /permission denied|not permitted/i);
    const limits =
      "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max";
    const read = await cli.ok(
      "run",
      "--rm",
      "--memory",
      "64m",
      "--cpus",
      "0.5",
      "--pids-limit",
      "50",
      "busybox",
      "sh",
      "-c",
      limits,
    );
    assert.deepEqual(read.split(/\s+/).slice(0, 3), [
      "67108864",
      "50000",
      read.includes("100000") ? "100000" : "50",
    ]);
  });

  it("lets a container use the devices that a rule of its cgroup names, and no others", async () => {
    const rule = ["--device-cgroup-rule", "c 10:200 r"];
    const open = (...options: string[]) =>
      cli.run([
        "run",
        "--rm",
        ...options,
        "busybox",
        "sh",
        "-c",
        "mknod /tun c 10 200 && exec 3</tun && echo open",
      ]);
    assert.match((await open()).stderr, /not permitted/);
    assert.deepEqual(await open(...rule), { code: 0, stdout: "open\n", stderr: "" });
    const { stderr } = await cli.fails(
      "run",
      "--rm",
      "--device-cgroup-rule",
      "d 10:200 r",
      "busybox",
      "true",
    );
    assert.match(stderr, /invalid device cgroup rule|invalid device cgroup format/);
    const body = { Image: "busybox", HostConfig: { DeviceCgroupRules: ["c 1 r"] } };
    await assert.rejects(fixture.lab.rest("node1").post("/containers/create", body), { status: 400 });
  });

  it("ends a container that takes more memory than it may", async () => {
    await cli.run([
      "run",
      "--name",
      "greedy",
      "--memory",
      "16m",
      "--memory-swap",
      "16m",
      "busybox",
      "sh",
      "-c",
      "x=$(dd if=/dev/zero bs=1M count=64 | tr '\\0' x); echo ${#x}",
    ]);
    const [state] = JSON.parse(await cli.ok("inspect", "greedy")) as [
      { State: { OOMKilled: boolean; ExitCode: number } },
    ];
    assert.equal(state.State.OOMKilled, true);
    await cli.ok("rm", "greedy");
  });

  it("loads, lists, inspects, tags and removes images; imports a file system", async () => {
    await cli.run(["load"], { input: await busyboxImage("second:v1") });
    await cli.ok("tag", "second:v1", "other/name:v2");
    assert.deepEqual(
      (
        await cli.ok("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=other/name")
      ).split("\n"),
      ["other/name:v2"],
    );
    const [image] = JSON.parse(await cli.ok("image", "inspect", "second:v1")) as [
      { RepoTags: string[]; Architecture: string; RootFS: { Layers: string[] } },
    ];
    assert.equal(image.RootFS.Layers.length, 1);
    assert.equal(await cli.ok("rmi", "other/name:v2"), "Untagged: other/name:v2");
    const archive = await tar([
      { path: "bin/" },
      { path: "bin/whoami", content: readFileSync("/proc/self/exe").subarray(0, 16) },
    ]);
    const imported = await cli.run(["import", "-c", "CMD /bin/x", "-c", "ENV a=b", "-", "imported:1"], {
      input: archive,
    });
    assert.match(imported.stdout, /^sha256:[0-9a-f]{64}\n$/);
    const [own] = JSON.parse(await cli.ok("image", "inspect", "imported:1")) as [
      { Config: { Cmd: string[]; Env: string[] } },
    ];
    assert.deepEqual(own.Config.Cmd, ["/bin/sh", "-c", "/bin/x"]);
    assert.ok(own.Config.Env.includes("a=b"));
    await cli.ok("rmi", "imported:1");
  });

  it("publishes ports, and resolves names on a network of the user's", async () => {
    await cli.ok("network", "create", "--label", "x=y", "mine");
    await cli.ok("run", "-d", "--name", "web", "--network", "mine", "-p", "18080:8080", "whoami");
    const names = await cli.ok(
      "run",
      "--rm",
      "--network",
      "mine",
      "busybox",
      "wget",
      "-qO-",
      "http://web:8080/",
    );
    assert.match(names, /^hostname: /m);
    const [node] = fixture.lab.nodes;
    const answer = await until("an answer", () =>
      fetch(`http://${node!.address}:18080/`).then((res) => res.text()),
    );
    assert.match(answer, /^client: 10\.213\.\d+\.1:/m);
    const inside = fixture.lab.exec("node1", [
      "sh",
      "-c",
      "exec 3<>/dev/tcp/127.0.0.1/18080 2>/dev/null || true",
    ]);
    assert.equal(typeof inside.code, "number");
    assert.match(
      (await cli.fails("run", "-d", "--name", "web2", "-p", "18080:8080", "whoami")).stderr,
      /port is already allocated/,
    );
    await cli.ok("rm", "-f", "web2");
    assert.match((await cli.fails("network", "rm", "mine")).stderr, /has active endpoints/);
    await cli.ok("rm", "-f", "web");
    await cli.ok("network", "rm", "mine");
    assert.deepEqual((await cli.ok("network", "ls", "--format", "{{.Name}}")).split("\n").sort(), [
      "bridge",
      "host",
      "none",
    ]);
  });

  it("tells what happens as events", async () => {
    const since = Math.floor(Date.now() / 1000);
    await cli.ok("run", "--rm", "--name", "seen", "busybox", "true");
    const until = Math.ceil(Date.now() / 1000) + 1;
    const lines = await cli.ok(
      "events",
      "--since",
      String(since),
      "--until",
      String(until),
      "--filter",
      "container=seen",
      "--format",
      "{{.Action}}",
    );
    assert.deepEqual(
      lines.split("\n").filter((word) => ["create", "start", "die", "destroy"].includes(word)),
      ["create", "start", "die", "destroy"],
    );
  });

  it("refuses bad input with Docker's statuses, and makes nothing of it", async () => {
    const rest = fixture.lab.rest("node1");
    const status = (method: string, path: string, body?: unknown) =>
      rest.call(method, path, body).then(
        () => 200,
        (error: { status: number }) => error.status,
      );
    assert.match(
      (await cli.fails("run", "--pull", "never", "no-such-image")).stderr,
      /No such image: no-such-image:latest/,
    );
    assert.equal(await status("POST", "/containers/create?name=-bad-", { Image: "busybox" }), 400);
    assert.equal(await status("POST", "/containers/create", { Image: "no-such-image" }), 404);
    assert.equal(await status("POST", "/containers/create", { Image: "busybox", Env: 7 }), 400);
    assert.equal(await status("GET", "/containers/nothing/json"), 404);
    assert.equal(await status("GET", "/no/such/route"), 404);
    assert.equal(await status("GET", "/containers/json?filters=%7Bbroken"), 400);
    assert.equal(await status("POST", "/images/load", Buffer.from("this is not an archive")), 400);
    assert.match(
      (await cli.run(["load"], { input: (await buildImage({ tag: "cut:1", files: [] })).subarray(0, 700) }))
        .stderr,
      /archive|unexpected EOF/i,
    );
    const json = await new Promise<number>((resolve, reject) => {
      import("node:http").then(({ request }) => {
        const req = request(
          {
            socketPath: rest.socket,
            method: "POST",
            path: "/containers/create",
            headers: { "content-type": "application/json" },
          },
          (res) => {
            res.resume();
            resolve(res.statusCode!);
          },
        );
        req.on("error", reject);
        req.end("{ not json");
      }, reject);
    });
    assert.equal(json, 400);
    await cli.ok("create", "--name", "taken", "busybox");
    assert.match(
      (await cli.fails("create", "--name", "taken", "busybox")).stderr,
      /The container name "\/taken" is already in use/,
    );
    await cli.ok("rm", "taken");
    assert.equal(await cli.ok("ps", "-aq"), "");
  });
});
