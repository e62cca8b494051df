import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";

describe("logs", function () {
  this.timeout(180_000);
  const fixture = useLab({
    nodes: 1,
    join: false,
    flags: ["--log-driver", "local", "--log-opt", "max-file=3"],
  });
  let cli: Cli;
  before(async () => {
    await loadUsual(fixture.lab);
    cli = docker(fixture.lab);
  });

  const containers = () => join(fixture.lab.dir, "node1/data/containers");
  const folderOf = async (name: string) => join(containers(), await cli.ok("inspect", "-f", "{{.Id}}", name));
  /** Runs a script to its end. */
  const run = async (name: string, script: string, ...options: string[]) =>
    (await cli.run(["run", "--name", name, ...options, "busybox", "sh", "-c", script])).stdout;
  const numbers = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => `line ${from + i}`);
  const count = "for i in $(seq 1 20000); do echo line $i; done";

  for (const driver of ["json-file", "local"])
    describe(`of the driver ${driver}`, () => {
      const log = ["--log-driver", driver];

      it("are shown by stream, time, number and with their times", async () => {
        await run("plain", "echo one; echo two >&2; sleep 0.05; echo three; printf rest", ...log);
        const all = await cli.run(["logs", "plain"]);
        assert.deepEqual([all.stdout, all.stderr], ["one\nthree\nrest", "two\n"]);
        assert.equal((await cli.run(["logs", "--tail", "2", "plain"])).stdout, "three\nrest");
        for (const none of ["bogus", "-5"])
          assert.deepEqual(await cli.run(["logs", `--tail=${none}`, "plain"]), all, none);
        const timed = (await cli.ok("logs", "-t", "plain")).split("\n");
        const time = timed.find((line) => line.endsWith(" three"))!.split(" ")[0]!;
        assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
        assert.equal(await cli.ok("logs", "--since", time, "plain"), "three\nrest");
        assert.equal((await cli.run(["logs", "--until", time, "plain"])).stdout, "one\nthree\n");
        await cli.ok("rm", "plain");
      });

      it("are rotated and compressed, and followed on the way", async () => {
        // as many files as hold all: a follower may be slower than the container
        const options = ["max-size=100k", "max-file=40", "compress=true"].flatMap((each) => [
          "--log-opt",
          each,
        ]);
        const script = `until [ -e /go ]; do sleep 0.05; done; ${count}`;
        await cli.ok("run", "-d", "--name", "turned", ...log, ...options, "busybox", "sh", "-c", script);
        const followed = cli.ok("logs", "-f", "turned");
        await cli.ok("exec", "turned", "touch", "/go");
        const all = numbers(1, 20_000);
        assert.deepEqual((await followed).split("\n"), all);
        assert.deepEqual((await cli.ok("logs", "turned")).split("\n"), all);
        for (const tail of [3, 3000, 15_000])
          assert.deepEqual(
            (await cli.ok("logs", "--tail", `${tail}`, "turned")).split("\n"),
            all.slice(-tail),
          );
        const folder = await folderOf("turned");
        const files = readdirSync(driver === "local" ? join(folder, "local-logs") : folder);
        const old = files.filter((name) => /\.log\.\d+\.gz$/.test(name));
        assert.ok(old.length >= 2, files.join(" "));
        await cli.ok("rm", "turned");
      });

      it("go on after an entry that was torn when the shim was killed", async () => {
        await run("torn", "echo one; echo two; echo three", ...log);
        const folder = await folderOf("torn");
        const id = folder.split("/").at(-1)!;
        const file = join(folder, driver === "local" ? "local-logs/container.log" : `${id}-json.log`);
        truncateSync(file, statSync(file).size - 5);
        assert.equal(await cli.ok("logs", "torn"), "one\ntwo");
        await cli.ok("start", "-a", "torn");
        assert.equal(await cli.ok("logs", "torn"), "one\ntwo\none\ntwo\nthree");
        assert.equal(await cli.ok("logs", "--tail", "3", "torn"), "one\ntwo\nthree");
        await cli.ok("rm", "torn");
      });

      it("may find no room: the container goes on, and what was written stays whole", async () => {
        await cli.ok(
          "create",
          "--name",
          "full",
          ...log,
          "busybox",
          "sh",
          "-c",
          `${count}; echo at the end >&2; exit 3`,
        );
        const folder = await folderOf("full");
        const place = driver === "local" ? join(folder, "local-logs") : folder;
        const on = (...words: string[]) => {
          const { code, stderr } = fixture.lab.exec("node1", words);
          assert.equal(code, 0, stderr);
        };
        // the records lie beside the log: they are moved to the small file system with it
        on("mkdir", "-p", place);
        on(
          "sh",
          "-c",
          `cp -a ${place} ${place}.kept && mount -t tmpfs -o size=256k tmpfs ${place} && cp -a ${place}.kept/. ${place}`,
        );
        try {
          const ended = await cli.run(["start", "-a", "full"]);
          assert.equal(ended.code, 3);
          assert.equal(ended.stdout.split("\n").length, 20_001);
          assert.equal(ended.stderr, "at the end\n");
          const logged = (await cli.ok("logs", "full"))
            .split("\n")
            .map((line) => /^line (\d+)$/.exec(line)?.[1]);
          const inOrder = logged.every(
            (number, i) => number !== undefined && (i === 0 || +number > +logged[i - 1]!),
          );
          assert.ok(inOrder && logged.length > 100 && logged.length < 20_000, `${logged.length} lines`);
        } finally {
          on(
            "sh",
            "-c",
            `cp -a ${place}/. ${place}.kept; umount ${place}; cp -a ${place}.kept/. ${place}; rm -r ${place}.kept`,
          );
        }
        await cli.ok("rm", "full");
      });
    });

  it("tell what they are asked to of the container, where the driver can", async () => {
    const options = ["labels=a", "labels-regex=^app\\.", "env=E", "tag={{.Name}}/{{.ImageName}}"];
    await run(
      "told",
      "echo line",
      ...[
        "--log-driver",
        "json-file",
        "--label",
        "a=b,c",
        "--label",
        "app.x=1",
        "--label",
        "no=1",
        "-e",
        "E=f",
      ],
      ...options.flatMap((option) => ["--log-opt", option]),
    );
    assert.equal(await cli.ok("logs", "--details", "told"), "E=f,a=b%2Cc,app.x=1,tag=told%2Fbusybox line");
    await cli.ok("rm", "told");
  });

  it("have the daemon's driver where none is named, with its options", async () => {
    assert.equal(
      await cli.ok("info", "-f", "{{.LoggingDriver}} {{.Plugins.Log}}"),
      "local [json-file local none]",
    );
    await run("usual", "echo line");
    const shown = await cli.ok("inspect", "-f", "{{json .HostConfig.LogConfig}}[{{.LogPath}}]", "usual");
    assert.equal(shown, '{"Type":"local","Config":{"max-file":"3"}}[]');
    assert.equal(await cli.ok("logs", "usual"), "line");
    await run("own", "echo line", "--log-driver", "json-file");
    const path = await cli.ok("inspect", "-f", "{{.LogPath}}", "own");
    assert.equal(dirname(path), await folderOf("own"));
    assert.equal(JSON.parse(readFileSync(path, "utf8")).log, "line\n");
    assert.equal(await run("silent", "echo line", "--log-driver", "none"), "line\n");
    assert.match(
      (await cli.fails("logs", "silent")).stderr,
      /configured logging driver does not support reading/,
    );
    await cli.ok("rm", "usual", "own", "silent");
  });

  it("are written by a process of their own where output must not wait", async () => {
    const options = ["mode=non-blocking", "max-buffer-size=8m"].flatMap((option) => ["--log-opt", option]);
    await run("aside", `${count}; printf rest >&2`, ...options);
    const { stdout, stderr } = await cli.run(["logs", "aside"]);
    assert.deepEqual(stdout.trimEnd().split("\n"), numbers(1, 20_000));
    assert.equal(stderr, "rest");
    await cli.ok("rm", "aside");
  });

  it("are refused with options that make no sense", async () => {
    for (const [words, text] of [
      ["--log-driver syslog", /no log driver named 'syslog' is registered/],
      ["--log-driver local --log-opt labels=a", /unknown log opt 'labels' for local log driver/],
      ["--log-opt max-size=much", /invalid value for max-size: much/],
      ["--log-driver json-file --log-opt compress=true", /compress cannot be true/],
      ["--log-opt mode=maybe", /logging mode not supported: maybe/],
      ["--log-opt max-buffer-size=1m", /only supported with 'mode=non-blocking'/],
    ] as const)
      assert.match((await cli.fails("create", ...words.split(" "), "busybox", "true")).stderr, text);
  });
});
