import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cli, creel, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

/** Lists every file of a root with what must survive a move: kind, mode, owner, size, links, content. */
const LOOK = `cd /made && busybox find . -exec busybox stat -c '%n %F %a %u:%g %h %s' {} + | busybox sort; busybox md5sum text; busybox readlink link`;

describe("a container's files", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1, join: false });
  let cli: Cli;
  let other: Cli;
  let dir: string;

  before(async () => {
    cli = docker(fixture.lab);
    other = docker(fixture.lab, "node2");
    dir = mkdtempSync(join(tmpdir(), "ce-files-"));
    await loadUsual(fixture.lab);
    await cli.ok(
      ...["run", "-d", "--name", "made", "-v", "kept:/data", "--tmpfs", "/mem", "busybox", "sh", "-c"],
      [
        "mkdir /made /made/dir && echo text > /made/text && chown 1000:2000 /made/text && chmod 4751 /made/text",
        "busybox ln -s text /made/link && busybox ln /made/text /made/hard && busybox mknod /made/fifo p",
        "rm /etc/group && echo more >> /etc/passwd && echo kept > /data/kept && echo mem > /mem/mem && sleep 1000",
      ].join(" && "),
    );
    await until(
      "the files are made",
      async () => (await cli.run(["exec", "made", "cat", "/mem/mem"])).code === 0,
    );
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("are compared with the image's", async () => {
    const lines = (await cli.ok("diff", "made")).split("\n").sort();
    assert.deepEqual(
      lines.filter((line) => !/ \/(data|mem)$/.test(line)),
      [
        "A /made",
        "A /made/dir",
        "A /made/fifo",
        "A /made/hard",
        "A /made/link",
        "A /made/text",
        "C /etc",
        "C /etc/passwd",
        "D /etc/group",
      ],
    );
    assert.equal(await creel(fixture.lab).ok("diff", "made"), await cli.ok("diff", "made"));
    await cli.ok("create", "--name", "fresh", "busybox");
    assert.equal(await cli.ok("diff", "fresh"), "");
  });

  it("are measured", async () => {
    const [size] = JSON.parse(await cli.ok("inspect", "--size", "made")) as {
      SizeRw: number;
      SizeRootFs: number;
    }[];
    assert.ok(size!.SizeRw > 0 && size!.SizeRootFs > 1_000_000 + size!.SizeRw, JSON.stringify(size));
    assert.match(
      await cli.ok("ps", "-s", "--filter", "name=made", "--format", "{{.Size}}"),
      /B \(virtual [0-9.]+MB\)$/,
    );
  });

  it("are copied out and in while it runs, its volumes and memory too", async () => {
    await cli.ok("cp", "made:/made", join(dir, "out"));
    assert.equal(readFileSync(join(dir, "out/text"), "utf8"), "text\n");
    assert.equal(statSync(join(dir, "out/text")).mode & 0o777, 0o751);
    await cli.ok("cp", "made:/mem/mem", dir);
    assert.equal(readFileSync(join(dir, "mem"), "utf8"), "mem\n");
    writeFileSync(join(dir, "in"), "from outside\n");
    for (const place of ["/data/in", "/mem/in", "/made/dir/", "/in"])
      await cli.ok("cp", join(dir, "in"), `made:${place}`);
    assert.equal(
      await cli.ok("exec", "made", "cat", "/data/in", "/mem/in", "/made/dir/in", "/in"),
      "from outside\nfrom outside\nfrom outside\nfrom outside",
    );
    mkdirSync(join(dir, "tree/a"), { recursive: true });
    writeFileSync(join(dir, "tree/a/b"), "deep\n");
    await cli.ok("cp", `${join(dir, "tree")}/.`, "made:/mem");
    assert.equal(await cli.ok("exec", "made", "cat", "/mem/a/b"), "deep");
    await cli.ok("exec", "made", "rm", "-r", "/mem/a", "/made/dir/in", "/in");
  });

  it("are streamed, with their owners and through links where asked", async () => {
    writeFileSync(join(dir, "owned"), "1");
    await cli.ok(
      "create",
      "--name",
      "app",
      "-u",
      "app",
      "busybox",
      "stat",
      "-c",
      "%u:%g",
      "/tmp/mine",
      "/tmp/owned",
    );
    await cli.ok("cp", "-a", join(dir, "owned"), "app:/tmp/mine");
    await cli.ok("cp", join(dir, "owned"), "app:/tmp");
    assert.equal(await cli.ok("start", "-a", "app"), "1000:1000\n0:0");
    await cli.ok("cp", "-L", "made:/made/link", join(dir, "followed"));
    assert.equal(readFileSync(join(dir, "followed"), "utf8"), "text\n");
    await cli.ok("cp", "made:/made/link", join(dir, "link"));
    assert.equal(readlinkSync(join(dir, "link")), "text");
    const { stdout } = await cli.run(["cp", "made:/made", "-"]);
    const names = execFileSync("tar", ["-t"], { input: stdout, encoding: "utf8" }).trim().split("\n");
    assert.deepEqual(
      names.sort(),
      ["dir/", "fifo", "hard", "link", "text", ""].map((name) => `made/${name}`).sort(),
    );
    const archive = execFileSync("tar", ["-C", dir, "--owner=7", "--group=8", "-c", "owned"]);
    for (const name of ["made", "stopped"]) {
      if (name === "stopped")
        await cli.ok("create", "--name", name, "busybox", "stat", "-c", "%u:%g", "/tmp/owned");
      assert.equal((await cli.run(["cp", "-", `${name}:/tmp`], { input: archive })).code, 0);
    }
    assert.equal(await cli.ok("exec", "made", "stat", "-c", "%u:%g", "/tmp/owned"), "7:8");
    assert.equal(await cli.ok("start", "-a", "stopped"), "7:8");
    await cli.ok("exec", "made", "rm", "/tmp/owned");
  });

  it("go with the containers that a prune's filters mean", async () => {
    for (const label of ["a", "b"]) await cli.ok("create", "--label", `prune=${label}`, "busybox");
    const prune = (...filters: string[]) =>
      cli.ok("container", "prune", "-f", ...filters.flatMap((filter) => ["--filter", filter]));
    assert.doesNotMatch(await prune("until=1h", "label=prune"), /[0-9a-f]{64}/);
    assert.equal((await prune("label=prune=a")).match(/[0-9a-f]{64}/g)?.length, 1);
    assert.equal((await prune("label=prune", "label!=prune=a")).match(/[0-9a-f]{64}/g)?.length, 1);
    assert.match(await cli.ok("top", "made", "-o", "pid,comm"), /^PID +COMMAND\n[0-9]+ /);
  });

  it("are copied of one that does not run", async () => {
    await cli.ok("create", "--name", "idle", "-v", "kept:/data", "busybox", "cat", "/data/idle");
    await cli.ok("cp", "idle:/data/kept", join(dir, "kept"));
    assert.equal(readFileSync(join(dir, "kept"), "utf8"), "kept\n");
    await cli.ok("cp", join(dir, "in"), "idle:/data/idle");
    assert.equal(await cli.ok("start", "-a", "idle"), "from outside");
  });

  it("are never those of the host, whatever a link says", async () => {
    const secret = join(dir, "secret");
    writeFileSync(secret, "the host's\n");
    await cli.ok(
      "exec",
      "made",
      "sh",
      "-c",
      `busybox ln -s / /mem/root; busybox ln -s ${dir} /mem/away; busybox ln -s /proc/1/root /mem/magic`,
    );
    for (const path of [
      `/mem/root${secret}`,
      "/mem/away/secret",
      `/mem/root/../../../..${secret}`,
      `/mem/magic${secret}`,
    ]) {
      const out = await cli.fails("cp", `made:${path}`, join(dir, "stolen"));
      assert.match(out.stderr, /Could not find the file|kernel/, path);
    }
    assert.ok(!existsSync(join(dir, "stolen")));
    await cli.fails("cp", join(dir, "in"), "made:/mem/away/planted");
    assert.ok(!existsSync(join(dir, "planted")));
    await cli.ok("cp", join(dir, "in"), "made:/mem/root/mem/planted");
    assert.equal(await cli.ok("exec", "made", "cat", "/mem/planted"), "from outside");
    await cli.ok("exec", "made", "rm", "/mem/root", "/mem/away", "/mem/magic");
  });

  it("say what is wrong", async () => {
    assert.match(
      (await cli.fails("cp", "made:/nothing", dir)).stderr,
      /Could not find the file \/nothing in container made$/m,
    );
    assert.match((await cli.fails("cp", "nobody:/x", dir)).stderr, /No such container: nobody/);
    assert.match(
      (await cli.fails("cp", join(dir, "tree"), "made:/made/text")).stderr,
      /cannot copy directory|not a directory/,
    );
    assert.match((await cli.fails("export", "nobody")).stderr, /No such container/);
    assert.match(
      (await cli.fails("commit", "-c", "RUN x", "made")).stderr,
      /RUN is not a valid change command/,
    );
    await cli.ok("create", "--name", "shut", "--read-only", "busybox");
    assert.match((await cli.fails("cp", join(dir, "in"), "shut:/in")).stderr, /marked read-only/);
  });

  it("become an image, and the same files on another node", async () => {
    const changes = [
      'CMD ["busybox","cat","/made/text"]',
      "ENV A=1",
      "EXPOSE 80",
      "LABEL made=yes",
      "USER 1000",
      "WORKDIR /made",
      "STOPSIGNAL SIGINT",
      "VOLUME /vol",
      "ONBUILD RUN x",
      "HEALTHCHECK CMD true",
    ];
    const id = await cli.ok(
      "commit",
      "-a",
      "Ann",
      "-m",
      "words",
      ...changes.flatMap((c) => ["-c", c]),
      "made",
      "moved:1",
    );
    const [image] = JSON.parse(await cli.ok("image", "inspect", "moved:1")) as {
      Id: string;
      Author: string;
      Comment: string;
      Config: Record<string, unknown>;
    }[];
    assert.deepEqual([image!.Id, image!.Author, image!.Comment], [id, "Ann", "words"]);
    const { Cmd, WorkingDir, User, StopSignal } = image!.Config;
    assert.deepEqual(
      [Cmd, WorkingDir, User, StopSignal],
      [["busybox", "cat", "/made/text"], "/made", "1000", "SIGINT"],
    );
    const state = await cli.ok("inspect", "-f", "{{.State.Status}}", "made");
    assert.equal(state, "running");

    const archive = join(dir, "moved.tar");
    await cli.ok("save", "-o", archive, "moved:1");
    await other.ok("load", "-i", archive);
    assert.equal(await other.ok("run", "--rm", "moved:1"), "text");
    const here = await cli.ok("exec", "made", "sh", "-c", LOOK);
    assert.equal(await other.ok("run", "--rm", "-u", "0", "moved:1", "sh", "-c", LOOK), here);

    await cli.ok("export", "-o", archive, "made");
    await other.ok("import", "-c", "CMD sh", archive, "imported");
    assert.equal(await other.ok("run", "--rm", "imported", "sh", "-c", LOOK), here);
  });
});
