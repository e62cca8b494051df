import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { root } from "../../tools/src/root.ts";
import { type Cli, creel, docker, program } from "../src/cli.ts";
import { useLab } from "../src/fixture.ts";
import { loadUsual } from "../src/images.ts";
import { Terminal } from "../src/terminal.ts";
import { until } from "../src/wait.ts";

const bin = join(root, "bin/creel");

describe("creel on one node", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1 });
  let cli: Cli;
  let config = "";
  const withConfig = (...args: string[]) =>
    program(bin, args, { env: { ...process.env, DOCKER_CONFIG: config, NO_COLOR: "1" } });
  before(async () => {
    await loadUsual(fixture.lab);
    cli = creel(fixture.lab);
    config = mkdtempSync(join(tmpdir(), "ce-config-"));
  });
  after(() => rmSync(config, { recursive: true, force: true }));

  it("lists in all of docker's ways", async () => {
    await cli.ok("run", "-d", "--name", "one", "--label", "a=b", "busybox", "sleep", "1000");
    const id = await cli.ok("ps", "-q", "--no-trunc");
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(await cli.ok("ps", "-q"), id.slice(0, 12));
    assert.equal(
      await cli.ok("ps", "--format", '{{.Names}} {{.Image}} {{.State}} {{.Label "a"}}'),
      "one busybox running b",
    );
    assert.equal(JSON.parse(await cli.ok("ps", "--format", "json")).Names, "one");
    assert.match(
      await cli.ok("ps", "--format", "table {{.Names}}\\t{{.ID}}"),
      /^NAMES +CONTAINER ID\none +[0-9a-f]{12}$/,
    );
    assert.equal(await cli.ok("ps", "-q", "--filter", "label=a=c"), "");
    assert.equal(
      await cli.ok("inspect", "-f", '{{.Name}} {{index .Config.Labels "a"}} {{len .Mounts}}', "one"),
      "/one b 0",
    );
    assert.match(
      (await cli.fails("ps", "--format", "{{.Nope}}")).stderr,
      /template parsing error.*no entry for key "Nope"/,
    );
    assert.match((await cli.fails("ps", "--filter", "nope=1")).stderr, /invalid filter/);
    const both = await cli.fails("inspect", "one", "two");
    assert.equal(both.code, 1);
    assert.equal(JSON.parse(both.stdout).length, 1);
    assert.match(both.stderr, /No such object: two/);
    for (const list of ["images", "network ls", "volume ls", "node ls", "service ls", "context ls"])
      for (const line of (await cli.ok(...list.split(" "), "--format", "json")).split("\n"))
        if (line !== "") JSON.parse(line);
    await cli.ok("rm", "-f", "one");
  });

  it("ends as what it ran ended, with 125, 126 and 127 where nothing ran", async () => {
    const status = async (...args: string[]) => (await cli.run(args)).code;
    assert.equal(await status("run", "--rm", "busybox", "sh", "-c", "exit 7"), 7);
    assert.equal(await status("run", "--rm", "busybox", "nothing"), 127);
    assert.equal(await status("run", "--rm", "busybox", "/etc/passwd"), 126);
    assert.equal(await status("run", "--rm", "no-such-image"), 125);
    assert.equal(await status("run", "--nope", "busybox"), 125);
    await cli.ok("run", "-d", "--name", "shell", "busybox", "sleep", "1000");
    assert.equal(await status("exec", "shell", "sh", "-c", "exit 5"), 5);
    assert.equal(await status("exec", "shell", "nothing"), 127);
    const { stdout } = await cli.run(["exec", "-i", "shell", "cat"], { input: "handed through" });
    assert.equal(stdout, "handed through");
    assert.match((await cli.fails("rm", "shell")).stderr, /container is running/);
    await cli.ok("rm", "-f", "shell");
  });

  it("copies files both ways, as docker does", async () => {
    const dir = mkdtempSync(join(tmpdir(), "ce-cp-"));
    const make =
      "mkdir -p /made/deep && echo text > /made/deep/file && chmod 640 /made/deep/file && ln -s deep /made/link";
    try {
      await cli.ok("run", "-d", "--name", "files", "busybox", "sh", "-c", `${make} && sleep 1000`);
      await until("its files", async () => (await cli.run(["exec", "files", "ls", "/made/link"])).code === 0);
      const tree = (path: string) =>
        program("sh", ["-c", "cd $0 && find . -printf '%P %y %m %l\\n' | sort", path]).stdout;
      for (const [by, run] of [
        ["docker", docker(fixture.lab)],
        ["creel", cli],
      ] as const) {
        const target = join(dir, by);
        mkdirSync(target);
        await run.ok("cp", "files:/made", target);
        await run.ok("cp", "files:/made", join(target, "renamed"));
        await run.ok("cp", "files:/made/.", join(target, "content"));
        await run.ok("cp", "-L", "files:/made/link", join(target, "followed"));
        await run.ok("cp", "files:/made/deep/file", join(target, "one"));
        const back = `/${by}`;
        await cli.ok("exec", "files", "mkdir", back);
        await run.ok("cp", join(target, "made"), `files:${back}`);
        await run.ok("cp", join(target, "made"), `files:${back}/renamed`);
        await run.ok("cp", `${join(target, "content")}/.`, `files:${back}`);
        await run.ok("cp", join(target, "one"), `files:${back}/one`);
        for (const wrong of [
          ["cp", "files:/nothing", target],
          ["cp", "files:/made", join(target, "one")],
          ["cp", join(target, "made"), `files:${back}/one`],
          ["cp", join(target, "nothing"), "files:/"],
          ["cp", "files:/made", "files:/other"],
          ["cp", "nobody:/etc", target],
        ])
          assert.equal((await run.fails(...wrong)).code, 1, `${by} ${wrong.join(" ")}`);
      }
      assert.equal(tree(join(dir, "creel")), tree(join(dir, "docker")));
      assert.match(tree(join(dir, "creel")), /^made\/deep\/file f 640 $/m);
      const inside = (by: string) =>
        cli.ok(
          "exec",
          "files",
          "sh",
          "-c",
          `cd /${by} && busybox find . -exec busybox stat -c '%n %F %a %u:%g' {} + | busybox sort`,
        );
      assert.equal(await inside("creel"), await inside("docker"));
      const piped = program("sh", ["-c", `${bin} cp files:/made - | ${bin} cp - files:/tmp`], {
        env: { ...process.env, CREEL_HOST: `unix://${fixture.lab.socket("node1")}` },
      });
      assert.equal(piped.code, 0, piped.stderr);
      assert.equal(await cli.ok("exec", "files", "cat", "/tmp/made/link/file"), "text");
      const at = `unix://${fixture.lab.socket("node1")}`;
      assert.equal(await cli.ok("__complete", "--", "-H", at, "cp", "fi"), "files:\tbusybox");
    } finally {
      await cli.run(["rm", "-f", "files"]);
      rmSync(dir, { recursive: true });
    }
  });

  it("shows what containers do and use, and changes their limits", async () => {
    await cli.ok(
      "run",
      "-d",
      "--name",
      "busy",
      "-m",
      "64m",
      "busybox",
      "sh",
      "-c",
      "while true; do true; done",
    );
    const [title, ...processes] = (await cli.ok("top", "busy", "-o", "pid,args")).split("\n");
    assert.match(title!, /^PID +(ARGS|COMMAND)$/);
    assert.match(processes.join("\n"), /^\d+ +sh -c while true/);
    const [line, ...more] = (
      await cli.ok("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}")
    ).split("\n");
    assert.deepEqual(more, []);
    const [, percent] = /^busy ([\d.]+)% [\d.]+\w*B \/ 64MiB [1-9]/.exec(line!) ?? assert.fail(line);
    assert.ok(Number(percent) > 0);
    assert.match(await cli.ok("stats", "--no-stream", "busy"), /^CONTAINER ID +NAME +CPU % +MEM USAGE/);
    assert.match((await cli.fails("stats", "--no-stream", "nobody")).stderr, /No such container: nobody/);
    const change = ["-m", "96m", "--memory-swap", "-1", "--cpus", "0.5", "--restart", "on-failure:2"];
    assert.equal(await cli.ok("update", ...change, "busy"), "busy");
    assert.equal(
      await cli.ok(
        "inspect",
        "-f",
        "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{json .HostConfig.RestartPolicy}}",
        "busy",
      ),
      '100663296 500000000 {"Name":"on-failure","MaximumRetryCount":2}',
    );
    assert.equal((await cli.fails("update", "busy")).code, 1);
    await cli.ok("rm", "-f", "busy");
  });

  it("names what a service waits for, and ends with the cause", async () => {
    const fits = ["service", "create", "--name", "fits", "--replicas", "2", "whoami"];
    assert.match(await cli.ok(...fits), /^[012] of 2 tasks run[\s\S]*verify: Service fits converged$/m);
    const never = [
      "service",
      "create",
      "--name",
      "never",
      "--timeout",
      "2s",
      "--reserve-memory",
      "900g",
      "whoami",
    ];
    const failed = await cli.fails(...never);
    assert.equal(failed.code, 1);
    assert.match(
      failed.stderr,
      /never did not converge[\s\S]*0 of 1 task[\s\S]*no suitable node \(insufficient resources/,
    );
    const update = await cli.fails("service", "update", "--image", "no-such-image:1", "fits");
    assert.match(update.stderr, /service update paused[\s\S]*No such image: no-such-image:1/);
    assert.match(await cli.ok("service", "rollback", "fits"), /verify: Service fits converged/);
    assert.equal(await cli.ok("service", "scale", "-d", "fits=1"), "fits scaled to 1");
    assert.match(await cli.ok("service", "logs", "fits"), /^fits\.\d\.\w{12}@node1 +\| whoami: /m);
    await cli.ok("service", "rm", "fits", "never");
  });

  it("completes the names that there are", async () => {
    await cli.ok("volume", "create", "some-data");
    const at = `unix://${fixture.lab.socket("node1")}`;
    const next = async (...words: string[]) =>
      (await cli.ok("__complete", "--", "-H", at, ...words)).split("\n");
    assert.deepEqual(await next("volume", "rm", "so"), ["some-data"]);
    assert.deepEqual(await next("node", "inspect", ""), ["node1\tmanager"]);
    assert.deepEqual(await next("rmi", "who"), ["whoami:latest"]);
    await cli.ok("volume", "rm", "some-data");
    for (const kind of ["secret", "config"]) {
      assert.equal((await cli.run([kind, "create", `${kind}-1`, "-"], { input: "value" })).code, 0);
      assert.deepEqual(await next(kind, "rotate", ""), [`${kind}-1`]);
      assert.deepEqual(await next("inspect", kind), [`${kind}-1`]);
      await cli.ok(kind, "rm", `${kind}-1`);
    }
    const inStack = ["--label", "com.docker.stack.namespace=shop", "--replicas", "0"];
    await cli.ok("service", "create", "-d", "--name", "shop_web", ...inStack, "whoami");
    assert.deepEqual(await next("stack", "ps", ""), ["shop"]);
    assert.deepEqual(await next("down", "--project", "s"), ["shop"]);
    assert.deepEqual(await next("plan", "service", "scale", "sh"), ["shop_web="]);
    assert.deepEqual(await next("why", "service", "sh"), ["shop_web\twhoami"]);
    await cli.ok("service", "rm", "shop_web");
  });

  it("shares its contexts with docker", () => {
    const env = { ...process.env, DOCKER_CONFIG: config };
    const docker = (...args: string[]) => program("docker", args, { env });
    const host = `unix://${fixture.lab.socket("node1")}`;
    assert.equal(withConfig("context", "create", "ours", "--docker", `host=${host}`).code, 0);
    assert.equal(docker("--context", "ours", "node", "ls", "--format", "{{.Hostname}}").stdout, "node1\n");
    assert.equal(docker("context", "create", "theirs", "--docker", `host=${host}`).code, 0);
    assert.equal(docker("context", "use", "theirs").code, 0);
    assert.equal(withConfig("context", "show").stdout, "theirs\n");
    assert.equal(withConfig("node", "ls", "--format", "{{.Hostname}}").stdout, "node1\n");
    assert.match(withConfig("context", "ls").stdout, /^theirs \* /m);
    assert.match(withConfig("context", "rm", "theirs").stderr, /is in use/);
    assert.equal(withConfig("context", "use", "default").code, 0);
    assert.equal(withConfig("context", "rm", "ours", "theirs").code, 0);
    assert.equal(docker("context", "ls", "-q").stdout, "default\n");
  });

  it("looks at the machine", async () => {
    const { ok, findings } = JSON.parse((await cli.run(["doctor", "--json"])).stdout);
    assert.equal(ok, true);
    const of = (name: string) => findings.find((each: { name: string }) => each.name === name);
    assert.match(of("creeld").found, /^0\.1\.0$/);
    assert.equal(of("veth").status, "ok");
    assert.match(
      of("file system").found,
      new RegExp(fixture.lab.socket("node1").replace(/\/creel\.sock$/, "")),
    );
  });

  describe("in a terminal", () => {
    let terminal: Terminal;
    before(() => {
      const env = { DOCKER_CONFIG: config, CREEL_HOST: `unix://${fixture.lab.socket("node1")}` };
      terminal = new Terminal(80, { ...env, PATH: `${join(root, "bin")}:${process.env.PATH}` });
    });
    after(() => terminal?.close());

    it("shows progress in place, in colour, and nothing of it is left but the last word", async () => {
      await cli.ok("service", "create", "-d", "--name", "stuck", "--reserve-memory", "900g", "whoami");
      terminal.type("clear; creel service scale stuck=2");
      await terminal.shows(/^0 of 2 tasks run\n {2}2 tasks waiting for a node: no suitable node/m);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the colour itself is looked for
      assert.match(terminal.coloured(), /\x1b\[2m/);
      terminal.press("C-c");
      assert.match(await terminal.shows(/ready>$/), /Waiting was interrupted; the change goes on/);
      await cli.ok("service", "rm", "stuck");
      const { output, status } = await terminal.run("creel service create --name fine --replicas 2 whoami");
      assert.equal(status, 0);
      assert.match(output, /^\w{25}\nverify: Service fine converged$/);
    });

    it("fits its tables into the width", async () => {
      const long = "a-container-with-a-name-that-is-so-long-that-no-terminal-of-eighty-columns-holds-it";
      await cli.ok("run", "-d", "--name", long, "busybox", "sleep", "1000");
      const { output } = await terminal.run("creel ps");
      const line = output.split("\n").find((each) => each.includes("a-con"))!;
      assert.ok(line.length <= 80 && line.includes("…"), output);
      const running = (await cli.ok("ps", "-q")).split("\n").length;
      assert.equal(output.split("\n").length, 1 + running, output);
      assert.match(
        (await terminal.run("creel ps --no-trunc --format '{{.Names}}' | cat")).output.replaceAll("\n", ""),
        new RegExp(long),
      );
      assert.match((await terminal.run("creel service ps fine")).output, /^fine\.1|\bfine\.1 /m);
      await cli.ok("rm", "-f", long);
      await cli.ok("service", "rm", "fine");
    });

    it("shows figures in place, again and again, until Ctrl-C", async () => {
      await cli.ok("run", "-d", "--name", "figures", "busybox", "sleep", "1000");
      terminal.type("clear; creel stats");
      await terminal.shows(/^CONTAINER ID +NAME[\s\S]* figures +\d+\.\d\d%/m);
      await cli.ok("rename", "figures", "renamed");
      const screen = await terminal.shows(/ renamed +\d+\.\d\d%/m);
      assert.equal(screen.match(/CONTAINER ID/g)?.length, 1, screen);
      terminal.press("C-c");
      await terminal.shows(/ready>$/);
      await cli.ok("rm", "-f", "renamed");
    });

    it("gives a container the terminal: its size, its keys, its exit status", async () => {
      terminal.type("clear; creel run --rm -it --name term busybox sh");
      await terminal.shows(/\/ #$/m);
      terminal.type("stty size 2>/dev/null || echo none; echo $((40 + 2))");
      await terminal.shows(/^42$/m);
      terminal.press("C-p", "C-q");
      await terminal.shows(/ready>$/);
      assert.equal(await cli.ok("ps", "--format", "{{.Names}}"), "term");
      terminal.type("clear; creel attach term");
      await until("the shell", async () => {
        terminal.press("Enter");
        return /\/ #$/m.test(terminal.screen());
      });
      terminal.type("exit 9");
      await terminal.shows(/ready>$/);
      terminal.type("echo status=$?");
      await terminal.shows(/^status=9$/m);
      await until("it is removed", async () => (await cli.ok("ps", "-aq")) === "");
    });
  });
});

describe("creel cluster", function () {
  this.timeout(180_000);
  it("makes a lab that is a context, and leaves nothing of it", () => {
    const dir = mkdtempSync(join(tmpdir(), "ce-"));
    const name = basename(dir);
    const env = { ...process.env, DOCKER_CONFIG: join(dir, "config") };
    const run = (...args: string[]) => program(bin, args, { env });
    try {
      const up = run("cluster", "up", name, "--nodes", "2", "--dir", join(dir, "l"));
      assert.equal(up.code, 0, up.stderr);
      const nodes = run("-c", name, "node", "ls", "--format", "{{.Hostname}} {{.Status}}").stdout;
      assert.equal(nodes, "node1 Ready\nnode2 Ready\n");
      assert.match(
        run("cluster", "ls").stdout,
        new RegExp(`^${name} +node2 +10\\.213\\.\\d+\\.12 +up `, "m"),
      );
      assert.match(run("cluster", "up", name).stderr, /there is a context/);
      assert.equal(run("cluster", "down", name).stdout, `${name}\n`);
    } catch (error) {
      run("cluster", "down", name);
      throw error;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    assert.equal(run("cluster", "ls", "-q").stdout, "");
    assert.match(run("cluster", "down", "nothing").stderr, /there is no lab "nothing"/);
  });
});
