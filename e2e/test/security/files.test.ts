import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Header, pack } from "tar-stream";
import { attackImage } from "../../src/attacks.ts";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { until } from "../../src/wait.ts";

describe("files of the host, whatever a container makes of its own,", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  let dir: string;
  let outside: string;

  before(async () => {
    cli = docker(fixture.lab);
    dir = mkdtempSync(join(tmpdir(), "ce-links-"));
    outside = join(dir, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "the host's\n", { mode: 0o600 });
    await fixture.lab.rest("node1").post("/images/load", await attackImage());
    // In a volume, two names that are exchanged all the time: a folder, and a link to one of the host's.
    const prepare = `mkdir /v/real && echo own > /v/real/secret && busybox ln -s ${outside} /v/link`;
    await cli.ok("run", "--rm", "-v", "race:/v", "attack", "sh", "-c", prepare);
    await cli.ok(
      "run",
      "-d",
      "--name",
      "racer",
      "-v",
      "race:/v",
      "attack",
      "/attack",
      "swap",
      "/v/real",
      "/v/link",
    );
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  afterEach(async () => {
    assert.equal(await cli.ok("logs", "racer"), "swapping", "the exchange goes on");
    assert.equal(await cli.ok("inspect", "-f", "{{.State.Running}}", "racer"), "true");
    assert.deepEqual(readdirSync(outside), ["secret"]);
    assert.equal(readFileSync(join(outside, "secret"), "utf8"), "the host's\n");
    const { mode, uid, nlink } = statSync(join(outside, "secret"));
    assert.deepEqual([mode & 0o7777, uid, nlink], [0o600, 0, 1]);
  });

  it("are not copied out or in while links are exchanged", async () => {
    const other = join(dir, "other");
    writeFileSync(other, "planted\n", { mode: 0o666 });
    await cli.ok("create", "--name", "idle", "-v", "race:/v", "attack", "true");
    let met = 0;
    for (let round = 0; round < 5; round++) {
      const results = await Promise.all(
        ["racer", "idle"].flatMap((name) => [
          cli.run(["cp", `${name}:/v/real/secret`, "-"]),
          cli.run(["cp", "-L", `${name}:/v/real`, "-"]),
          cli.run(["cp", other, `${name}:/v/real/planted`]),
        ]),
      );
      for (const { code, stdout } of results) {
        assert.ok(!stdout.includes("the host's"));
        if (code !== 0) met++;
      }
    }
    console.log(`      ${met} of 30 met the link`);
    await cli.ok("rm", "idle");
  });

  it("are not a part of a volume", async () => {
    const at = (subpath: string, ...command: string[]) => [
      ...["run", "--rm", "--mount", `type=volume,src=race,dst=/part,volume-subpath=${subpath}`, "attack"],
      ...command,
    ];
    for (const subpath of ["../../../../../..", `..${outside}`, "real/../../..", outside])
      assert.match(
        (await cli.fails(...at(subpath, "ls", "/part"))).stderr,
        /must be a relative path/,
        subpath,
      );
    let made = 0;
    for (let round = 0; round < 6; round++) {
      const runs = Array.from({ length: 4 }, () =>
        cli.run(at("real", "sh", "-c", "cat /part/secret; echo x > /part/made")),
      );
      for (const { code, stdout } of await Promise.all(runs)) {
        assert.ok(!stdout.includes("the host's"));
        if (code === 0) made++;
      }
    }
    console.log(`      ${made} of 24 found the folder`);
    assert.ok(
      !readdirSync(fixture.lab.execRoot("node1")).includes("subpaths") ||
        readdirSync(join(fixture.lab.execRoot("node1"), "subpaths")).length === 0,
    );
  });

  it("are no place for a mount, whose target is a link", async () => {
    const links = ["absolute", "up", "magic"];
    const prepare = `cd /v; busybox ln -s ${outside} absolute; busybox ln -s ../../../../../..${outside} up; busybox ln -s /proc/1/root${outside} magic`;
    await cli.ok("run", "--rm", "-v", "targets:/v", "attack", "sh", "-c", prepare);
    for (const link of links) {
      const target = `/v/${link}/new`;
      for (const mount of [
        ["-v", `more:${target}`],
        ["--tmpfs", target],
        ["-v", `${join(dir, "outside/secret")}:${target}:ro`],
      ])
        await cli.run(["run", "--rm", "-v", "targets:/v", ...mount, "attack", "true"]);
      assert.deepEqual(readdirSync(outside), ["secret"], link);
      await cli.run(["run", "--rm", "-v", "targets:/v", "-w", target, "attack", "true"]);
    }
  });

  it("are not filled from an image while links come into the place of what is copied", async () => {
    // Large enough to be met if they were copied in sight, with a mode that would open the host's file to all.
    const make =
      "mkdir /full; for i in $(seq 10); do busybox dd if=/dev/urandom of=/full/$i bs=1M count=8; done";
    await cli.ok("run", "--name", "maker", "attack", "sh", "-c", `${make}; busybox chmod 4777 /full/*`);
    await cli.ok("commit", "maker", "full:1");
    await cli.ok("rm", "maker");
    await cli.ok("volume", "create", "filled");
    let met = 0;
    for (let round = 0; round < 20 && met < 3; round++) {
      const chase = `busybox rm -rf /v/*; exec /attack chase /v ${outside}/secret`;
      await cli.ok("run", "-d", "--name", "chaser", "-v", "filled:/v", "attack", "sh", "-c", chase);
      await until("it chases", async () => (await cli.ok("logs", "chaser")) === "chasing");
      await cli.run(["create", "--name", "late", "-v", "filled:/full", "full:1", "true"]);
      if ((await cli.ok("exec", "chaser", "busybox", "find", "/v", "-type", "l")) !== "") met++;
      await cli.ok("rm", "-f", "chaser");
      await cli.run(["rm", "-f", "late"]);
      assert.equal(statSync(join(outside, "secret")).mode & 0o7777, 0o600);
    }
    assert.ok(met > 0, "a link was met");
  });

  it("are not reached by an archive: image, import or copy", async () => {
    const secret = join(outside, "secret");
    const up = `../../../../../../..${secret}`;
    const archives: Record<string, [Partial<Header> & { name: string }, string?][]> = {
      "a name that goes up": [[{ name: up }, "bad"]],
      "an absolute name": [[{ name: secret }, "bad"]],
      "a name that goes up through a folder": [
        [{ name: "a/", type: "directory" }],
        [{ name: `a/../../../..${secret}` }, "bad"],
      ],
      "a file through a link": [
        [{ name: "away", type: "symlink", linkname: outside }],
        [{ name: "away/secret" }, "bad"],
      ],
      "a file in the place of a link": [
        [{ name: "f", type: "symlink", linkname: secret }],
        [{ name: "f" }, "bad"],
      ],
      "a hard link to the outside": [
        [{ name: "h", type: "link", linkname: secret }],
        [{ name: "h", mode: 0o777 }, "bad"],
      ],
      "a hard link through a link": [
        [{ name: "away", type: "symlink", linkname: outside }],
        [{ name: "h", type: "link", linkname: "away/secret" }],
      ],
      "a folder in the place of a link": [
        [{ name: "away", type: "symlink", linkname: outside }],
        [{ name: "away/", type: "directory", mode: 0o777 }],
        [{ name: "away/new" }, "bad"],
      ],
      "a whiteout of the outside": [
        [{ name: "away", type: "symlink", linkname: outside }],
        [{ name: "away/.wh.secret" }, ""],
        [{ name: "away/.wh..wh..opq" }, ""],
      ],
      "a whiteout that goes up": [
        [{ name: "a/.wh..." }, ""],
        [{ name: ".wh..." }, ""],
        [{ name: ".wh.." }, ""],
      ],
      "a name too deep": [[{ name: `${"d/".repeat(2000)}f` }, "x"]],
    };
    await cli.ok("run", "-d", "--name", "target", "--tmpfs", "/mem", "attack", "sleep", "1000");
    for (const [what, entries] of Object.entries(archives)) {
      const archive = pack();
      for (const [header, content] of entries) archive.entry(header, content ?? "");
      archive.finalize();
      const parts: Buffer[] = [];
      for await (const part of archive) parts.push(part as Buffer);
      const input = Buffer.concat(parts);
      const imported = await cli.run(["import", "-", "bad:1"], { input });
      const copied = await Promise.all(
        ["/", "/mem"].map((to) => cli.run(["cp", "-", `target:${to}`], { input })),
      );
      assert.deepEqual(readdirSync(outside), ["secret"], what);
      assert.equal(readFileSync(secret, "utf8"), "the host's\n", what);
      for (const { stderr } of [imported, ...copied])
        assert.doesNotMatch(stderr, /panic|ended unexpectedly/, what);
      if (imported.code === 0) {
        const made = await cli.run(["run", "--rm", "bad:1", "/nothing"]);
        assert.ok(!made.stdout.includes("the host's"));
        await cli.ok("rmi", "-f", "bad:1");
      }
    }
    await cli.ok("rm", "-f", "target");
  });
});
