import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { CAPABILITY, MAKE } from "../../src/made.ts";
import { rootOf, treeOf } from "../../src/tree.ts";
import { until } from "../../src/wait.ts";

describe("moving a container's files to a node with another storage driver", function () {
  this.timeout(180_000);
  const configDir = mkdtempSync(join(tmpdir(), "ce-moving-config-"));
  const config = join(configDir, "daemon.json");
  writeFileSync(config, "{}");
  after(() => rmSync(configDir, { recursive: true, force: true }));
  const overlay = useLab({ nodes: 1, join: false, flags: ["--config-file", config] });
  const btrfs = useLab({ nodes: 1, join: false, disk: { kind: "btrfs", megabytes: 1024 } });
  let from: Cli;
  let to: Cli;
  let dir: string;
  const treeIn = async (cli: Cli, image: string) => {
    const id = await cli.ok("run", "-d", image, "sleep", "1000");
    try {
      return treeOf(`${await rootOf(cli === from ? overlay.lab : btrfs.lab, cli, id)}/made`);
    } finally {
      await cli.ok("rm", "-f", id);
    }
  };

  before(async () => {
    [from, to] = [docker(overlay.lab), docker(btrfs.lab)];
    dir = mkdtempSync(join(tmpdir(), "ce-moving-"));
    await Promise.all([loadUsual(overlay.lab), loadUsual(btrfs.lab)]);
    await from.ok("run", "-d", "--name", "made", "busybox", "sh", "-c", `${MAKE}\ntouch /done; sleep 1000`);
    await until(
      "the files are made",
      async () => (await from.run(["exec", "made", "cat", "/done"])).code === 0,
    );
    const made = `${await rootOf(overlay.lab, from, "made")}/made`;
    const set = (name: string, value: string, file: string) =>
      execFileSync("setfattr", ["-n", name, "-v", value, join(made, file)]);
    set("security.capability", CAPABILITY, "capable");
    set("user.note", "0x6f6e650a74776f00", "noted");
    set("user.note", '"of a directory"', "dir");
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("begins on overlay2 and on btrfs", async () => {
    assert.equal(await from.ok("info", "-f", "{{.Driver}}"), "overlay2");
    assert.match(await from.ok("info", "-f", "{{.DriverStatus}}"), /Backing Filesystem/);
    assert.equal(await to.ok("info", "-f", "{{.Driver}}"), "btrfs");
    assert.equal(
      await to.ok("inspect", "-f", "{{.GraphDriver.Name}}", await to.ok("create", "busybox")),
      "btrfs",
    );
  });

  it("keeps every file by commit and save, there and back again, and by export", async () => {
    const made = treeOf(`${await rootOf(overlay.lab, from, "made")}/made`);
    assert.match(made.join("\n"), /\nsparse\|.*\|sparse\|/);
    await from.ok("commit", "made", "moved:1");
    const archive = join(dir, "moved.tar");
    await from.ok("save", "-o", archive, "moved:1");
    await to.ok("load", "-i", archive);
    assert.deepEqual(await treeIn(to, "moved:1"), made);

    await to.ok(
      "run",
      "--name",
      "again",
      "moved:1",
      "sh",
      "-c",
      "echo more > /more; chmod 711 /made/dir/deep",
    );
    await to.ok("commit", "again", "moved:2");
    await to.ok("save", "-o", archive, "moved:2");
    await from.ok("load", "-i", archive);
    const back = await treeIn(from, "moved:2");
    const changed = back.filter((line, n) => n > 0 && line !== made[n]);
    assert.equal(changed.length, 1, changed.join("\n"));
    assert.match(changed[0]!, /^dir\/deep\|40711\|70000:3000000000\|/);

    await from.ok("export", "-o", archive, "made");
    await to.ok("import", "-c", 'CMD ["sleep", "1000"]', archive, "imported");
    assert.deepEqual(await treeIn(to, "imported"), made);
  });

  it("holds in a layer what the container did, and nothing that its start did", async () => {
    for (const cli of [from, to]) {
      await cli.ok("run", "--name", "small", "busybox", "sh", "-c", "echo 1 > /etc/one; rm /etc/group");
      await cli.ok("commit", "small", "small");
      const archive = join(dir, "small.tar");
      await cli.ok("save", "-o", archive, "small");
      const manifest = execFileSync("tar", ["-xOf", archive, "manifest.json"], { encoding: "utf8" });
      const layer = (JSON.parse(manifest) as { Layers: string[] }[])[0]!.Layers.at(-1)!;
      const names = execFileSync("sh", ["-c", `tar -xOf ${archive} ${layer} | tar -t`], { encoding: "utf8" });
      assert.deepEqual(names.trim().split("\n").sort(), ["etc/", "etc/.wh.group", "etc/one"]);
      await cli.ok("rm", "small");
    }
  });

  it("is refused where a layer would mean something else", async () => {
    await from.ok("run", "--name", "odd", "busybox", "touch", "/.wh.etc");
    assert.match((await from.fails("commit", "odd")).stderr, /\.wh\.etc.*rename it/);
    assert.equal(await from.ok("images", "-q", "-f", "dangling=true"), "");
  });

  it("is not needed for images alone: another driver of the same node unpacks them when they are used", async () => {
    const here = treeOf(`${await rootOf(overlay.lab, from, "made")}/made`);
    await from.ok("commit", "made", "moved:1");
    await from.ok("rm", "-f", ...(await from.ok("ps", "-aq")).split("\n"));
    writeFileSync(config, JSON.stringify({ "storage-driver": "vfs" }));
    await overlay.lab.restart("node1");
    assert.equal(await from.ok("info", "-f", "{{.Driver}}"), "vfs");
    assert.deepEqual(await treeIn(from, "moved:1"), here);
  });
});
