import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { rootOf, treeOf } from "../../src/tree.ts";

describe("volumes", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, join: false });
  let cli: Cli;
  let dir: string;
  const run = (...args: string[]) => cli.ok("run", "--rm", ...args);
  const sh = (mounts: string[], script: string) => run(...mounts, "busybox", "sh", "-c", script);
  const onNode = (script: string) => {
    const done = fixture.lab.exec("node1", ["sh", "-c", script]);
    assert.equal(done.code, 0, done.stderr);
    return done.stdout.trim();
  };
  const pathOf = (name: string) => cli.ok("volume", "inspect", "-f", "{{.Mountpoint}}", name);

  before(async () => {
    cli = docker(fixture.lab);
    dir = mkdtempSync(join(tmpdir(), "ce-volumes-"));
    await loadUsual(fixture.lab);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("begin with what the image has at their place, in every detail", async () => {
    const script = [
      "mkdir -p /seed/deep && echo 1 > /seed/deep/file && chown -R 1000:2000 /seed && chmod 2750 /seed",
      "busybox ln /seed/deep/file /seed/linked && busybox ln -s linked /seed/link && chmod 4711 /seed/linked",
      "echo x > /seed/noted; touch -d '2001-02-03 04:05:06' /seed",
    ].join("\n");
    await cli.ok("run", "--name", "seeder", "busybox", "sh", "-c", script);
    await cli.ok("commit", "seeder", "seed");
    const id = await cli.ok("run", "-d", "seed", "sleep", "1000");
    const seed = `${await rootOf(fixture.lab, cli, id)}/seed`;
    execFileSync("setfattr", ["-n", "user.note", "-v", "kept", join(seed, "noted")]);
    await cli.ok("commit", id, "seed");
    await run("-v", "filled:/seed", "seed", "true");
    assert.deepEqual(treeOf(await pathOf("filled")), treeOf(seed));
    await run("-v", "filled:/seed", "seed", "rm", "-r", "/seed/deep");
    assert.equal(await run("-v", "filled:/seed", "seed", "ls", "/seed"), "link\nlinked\nnoted");
    for (const mount of [
      ["-v", "bare:/seed:nocopy"],
      ["--mount", "type=volume,src=bare,dst=/seed,volume-nocopy"],
    ])
      assert.equal(await run(...mount, "seed", "ls", "/seed"), "");
    await cli.ok("rm", "-f", id, "seeder");
  });

  it("show a part of themselves, and no link leads out of it", async () => {
    await sh(
      ["-v", "parts:/v"],
      "mkdir -p /v/a/b; echo in > /v/a/b/f; busybox ln -s /etc /v/out; busybox ln -s a/b /v/in",
    );
    const part = (path: string) => ["--mount", `type=volume,src=parts,dst=/p,volume-subpath=${path}`];
    assert.equal(await sh(part("a/b"), "cat /p/f"), "in");
    assert.equal(await sh(part("in"), "cat /p/f"), "in");
    for (const path of ["out", "missing", "../../..", "a/../../x"])
      assert.match(
        (await cli.fails("run", "--rm", ...part(path), "busybox", "ls", "/p")).stderr,
        /subpath|local/,
        path,
      );
  });

  it("are mounted as their options say, while a container uses them", async () => {
    const host = join(dir, "host");
    mkdirSync(host);
    writeFileSync(join(host, "there"), "of the host\n");
    const create = (name: string, ...options: string[]) =>
      cli.ok("volume", "create", "--label", "kind=made", ...options.flatMap((o) => ["-o", o]), name);
    await create("memory", "type=tmpfs", "device=tmpfs", "o=size=1m,uid=1000");
    await create("bound", "type=none", `device=${host}`, "o=bind,ro");
    await create("absent", "type=none", `device=${host}/absent`, "o=bind");
    await create("nfs", "type=nfs", "device=:/share", "o=addr=127.0.0.1,rw");
    await cli.ok(
      "run",
      "-d",
      "--name",
      "user",
      "-v",
      "memory:/m",
      "-v",
      "bound:/b",
      "busybox",
      "sleep",
      "1000",
    );
    await cli.ok("exec", "user", "sh", "-c", "echo 1 > /m/one; id -u > /m/uid");
    assert.equal(
      await sh(
        ["-v", "memory:/m"],
        "cat /m/one; stat -c %u /m; grep ' /m tmpfs' /proc/mounts | grep -c size=1024k",
      ),
      "1\n1000\n1",
    );
    assert.equal(
      await sh(["-v", "bound:/b"], "cat /b/there; touch /b/x 2>&- || echo refused"),
      "of the host\nrefused",
    );
    await cli.ok("rm", "-f", "user");
    assert.equal(await sh(["-v", "memory:/m"], "ls /m"), "", "memory goes with its last user");
    assert.equal(onNode("grep -c _data /proc/self/mounts || true"), "0");
    assert.match(
      (await cli.fails("run", "-v", "absent:/x", "busybox")).stderr,
      /failed to mount local volume.*no such file/,
    );
    assert.match(
      (await cli.fails("run", "-v", "nfs:/x", "busybox")).stderr,
      /failed to mount local volume|no nfs/,
    );
    assert.match((await cli.fails("volume", "create", "-o", "size=1m", "big")).stderr, /no quota support/);
    assert.match(
      (await cli.fails("volume", "create", "-o", "type=nfs", "half")).stderr,
      /missing required option: "device"/,
    );
    assert.match(
      (await cli.fails("volume", "create", "-o", "color=red", "odd")).stderr,
      /invalid option: "color"/,
    );
    await cli.ok("container", "prune", "-f");
    assert.equal((await cli.ok("volume", "rm", "memory", "bound", "absent", "nfs")).split("\n").length, 4);
    assert.ok(existsSync(join(host, "there")));
  });

  it("and folders of the host are read-only with all that is mounted below, or not", async () => {
    const top = join(dir, "top");
    mkdirSync(join(top, "below"), { recursive: true });
    onNode(`mount -t tmpfs below ${top}/below`);
    const look = "touch /t/x 2>&- && echo top; touch /t/below/x 2>&- && echo below; true";
    const bind = (options: string) => ["--mount", `type=bind,src=${top},dst=/t${options}`];
    assert.equal(await sh(bind(""), look), "top\nbelow");
    assert.equal(await sh(bind(",readonly"), look), "");
    assert.equal(await sh(["-v", `${top}:/t:ro`], look), "");
    assert.equal(await sh(bind(",readonly,bind-recursive=writable"), look), "below");
    assert.equal(await sh(bind(",readonly,bind-recursive=readonly,bind-propagation=rprivate"), look), "");
    await sh(bind(",bind-recursive=disabled"), "touch /t/below/under");
    assert.deepEqual(readdirSync(join(top, "below")).sort(), ["under"]);
    onNode(`umount ${top}/below`);
  });

  it("share mounts with the host as far as they are told to", async () => {
    const top = join(dir, "shared");
    const alone = join(dir, "alone");
    mkdirSync(join(top, "in"), { recursive: true });
    mkdirSync(alone);
    onNode(`mount -t tmpfs alone ${alone} && mount --make-private ${alone}`);
    for (const [mode, words] of [
      ["rshared", /is not a shared mount/],
      ["rslave", /is not a shared or slave mount/],
    ] as const)
      assert.match((await cli.fails("run", "--rm", "-v", `${alone}:/t:${mode}`, "busybox")).stderr, words);
    onNode(`umount ${alone}`);
    const mountsIn = async (mode: string) =>
      run("--privileged", "-v", `${top}:/t:${mode}`, "busybox", "mount", "-t", "tmpfs", "inner", "/t/in");
    const seen = () => onNode(`grep -c '^inner ' /proc/self/mounts || true`);
    for (const mode of ["rprivate", "rslave"]) {
      await mountsIn(mode);
      assert.equal(seen(), "0", mode);
    }
    await mountsIn("rshared");
    assert.equal(seen(), "1");
    onNode(`umount ${top}/in`);
    for (const [mode, sees] of [
      ["rprivate", ""],
      ["rslave", "inner"],
    ] as const) {
      const id = await cli.ok("run", "-d", "-v", `${top}:/t:${mode}`, "busybox", "sleep", "1000");
      onNode(`mount -t tmpfs inner ${top}/in`);
      const table = await cli.ok("exec", id, "cat", "/proc/mounts");
      assert.equal(/^inner /m.test(table), sees !== "", mode);
      await cli.ok("rm", "-f", id);
      onNode(`umount ${top}/in`);
    }
  });

  it("are taken over from other containers", async () => {
    await cli.ok("create", "--name", "giver", "-v", "given:/v", "-v", "/own", "busybox");
    assert.equal(await sh(["--volumes-from", "giver"], "echo 1 > /v/f; echo 2 > /own/f; cat /v/f"), "1");
    assert.equal(
      await sh(["--volumes-from", "giver:ro"], "cat /v/f /own/f; touch /v/x 2>&- || echo refused"),
      "1\n2\nrefused",
    );
    assert.match((await cli.fails("run", "--volumes-from", "nobody", "busybox")).stderr, /No such container/);
    assert.match((await cli.fails("run", "--volumes-from", "giver:zz", "busybox")).stderr, /mode/);
  });

  it("are listed, measured and pruned", async () => {
    await cli.ok("volume", "create", "--label", "team=red", "red");
    await sh(["-v", "red:/v"], "dd if=/dev/zero of=/v/f bs=1024 count=64 2>&-");
    const df = await cli.ok("system", "df", "-v", "--format", "{{json .Volumes}}");
    const red = (JSON.parse(df) as { Name: string; Size: string; Links: string }[]).find(
      (v) => v.Name === "red",
    )!;
    assert.deepEqual([red.Size, red.Links], ["65.54kB", "0"]);
    const list = (...filters: string[]) =>
      cli.ok("volume", "ls", "-q", ...filters.flatMap((filter) => ["-f", filter]));
    assert.equal(await list("label=team=red"), "red");
    assert.equal(await list("name=red", "dangling=true"), "red");
    assert.ok(!(await list("dangling=true")).split("\n").includes("given"));
    assert.match((await cli.fails("volume", "rm", "given")).stderr, /volume is in use/);
    assert.match((await cli.fails("volume", "rm", "nothing")).stderr, /no such volume/);
    assert.doesNotMatch(await cli.ok("volume", "prune", "-f"), /red/, "only those without a name go");
    const pruned = await cli.ok("volume", "prune", "-f", "-a", "--filter", "label!=keep");
    assert.match(pruned, /red/);
    assert.match(pruned, /Total reclaimed space: [1-9]/);
    assert.ok((await list()).split("\n").includes("given"));
    await cli.ok("rm", "-v", "giver");
    assert.equal(await cli.ok("volume", "rm", "given"), "given");
    assert.equal(readFileSync(join(dir, "host/there"), "utf8"), "of the host\n");
  });
});
