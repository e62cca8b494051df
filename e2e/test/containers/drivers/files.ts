import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { creel } from "../../../src/cli.ts";
import { killProgram, processIds } from "../../../src/faults.ts";
import { strays } from "../../../src/host-leaks.ts";
import { CAPABILITY, MAKE, MAKE_OWN } from "../../../src/made.ts";
import { rootOf, treeOf } from "../../../src/tree.ts";
import { until } from "../../../src/wait.ts";
import type { Own } from "./own.ts";

const TAR = ["--xattrs", "--xattrs-include=*", "--sparse", "--numeric-owner"];
/** What `treeOf` tells of a file: its owner, its extended attributes, whether it has holes. */
const [OWNER, HOLES, ATTRIBUTES] = [2, 8, 10];

/**
 * What happens to the files of a container, with any driver; `first`: what the container's root is outside, which is
 * another than 0 with `--userns-remap`.
 */
export function filesCases(own: Own, first = 0): void {
  let made: string[];
  let dir: string;
  const tree = async (container: string, path = "made") =>
    outside(treeOf(join(await rootOf(own.lab, own.cli, container), path)));
  /** The owners of a tree as its container has them. */
  const outside = (lines: string[]) =>
    lines.slice(1).map((line) => {
      const parts = line.split("|");
      parts[OWNER] = parts[OWNER]!.split(":")
        .map((id) => Number(id) - first)
        .join(":");
      return parts.join("|");
    });
  const inImage = async (image: string) => {
    const id = await own.cli.ok("run", "-d", image, "sleep", "1000");
    try {
      return await tree(id);
    } finally {
      await own.cli.ok("rm", "-f", id);
    }
  };

  before(async () => {
    dir = join(own.lab.dir, `files-${first}`);
    mkdirSync(dir);
    const make = first === 0 ? MAKE : MAKE_OWN;
    const volume = "echo 1 > /kept/f; chown app:more /kept/f; rm /etc/group; echo more >> /etc/passwd";
    const script = `${make}\n${volume}\ntouch /done; sleep 1000`;
    await own.cli.ok("run", "-d", "--name", "one", "-v", "kept:/kept", "busybox", "sh", "-c", script);
    await until("the files are made", () => own.cli.ok("exec", "one", "ls", "/done"));
    const root = join(await rootOf(own.lab, own.cli, "one"), "made");
    const set = (name: string, value: string, file: string) =>
      execFileSync("setfattr", ["-n", name, "-v", value, join(root, file)]);
    if (first === 0) set("security.capability", CAPABILITY, "capable");
    set("user.note", "0x6f6e650a74776f00", "noted");
    set("user.note", '"of a directory"', "dir");
    made = await tree("one");
    assert.match(made.join("\n"), /\nsparse\|.*\|sparse\|/);
    assert.match(made.join("\n"), /\ntext\|104751\|1000:2000\|/);
  });
  after(async () => {
    await own.cli.run(["rm", "-f", "one", "idle"]);
    await own.cli.ok("volume", "rm", "kept");
    rmSync(dir, { recursive: true });
  });
  // what a container had of the network goes a moment later
  afterEach(() => until("nothing strays", async () => (await strays(own.lab, "node1")).length === 0));

  it("are compared with the image's", async () => {
    const lines = (await own.cli.ok("diff", "one")).split("\n");
    assert.deepEqual(lines.filter((line) => /^[ACD] /.test(line) && !/ \/made\/./.test(line)).sort(), [
      "A /done",
      "A /kept",
      "A /made",
      "C /etc",
      "C /etc/passwd",
      "D /etc/group",
    ]);
    assert.equal(await own.cli.ok("diff", await own.cli.ok("create", "--name", "idle", "busybox")), "");
    await own.cli.ok("rm", "idle");
  });

  it("lie on disk with the numbers that they have inside", async () => {
    const stat = (path: string) => {
      const { uid, gid } = statSync(path);
      return [uid, gid];
    };
    assert.deepEqual(stat(join(await own.filesOf("one"), "made/text")), [1000, 2000]);
    assert.deepEqual(stat(join(await own.filesOf("one"), "made/sparse")), [0, 0]);
    assert.deepEqual(stat(own.data("volumes/kept/_data/f")), [1000, 2000]);
    const inside = await own.cli.ok("exec", "one", "stat", "-c", "%u:%g", "/made/text", "/kept/f");
    assert.equal(inside, "1000:2000\n1000:2000");
  });

  it("become images by commit, and by export and import; images go out and in again", async () => {
    await own.cli.ok("commit", "one", "by:commit");
    assert.deepEqual(await inImage("by:commit"), made);
    const archive = join(dir, "archive.tar");
    await own.cli.ok("export", "-o", archive, "one");
    await own.cli.ok("import", archive, "by:import");
    assert.deepEqual(await inImage("by:import"), made);
    await own.cli.ok("save", "-o", archive, "by:commit");
    await own.cli.ok("rmi", "by:commit", "by:import");
    await own.cli.ok("load", "-i", archive);
    assert.deepEqual(await inImage("by:commit"), made);
    const removed = "test -e /etc/group && echo there; tail -n 1 /etc/passwd 2>&- || grep more /etc/passwd";
    assert.equal(await own.cli.ok("run", "--rm", "by:commit", "sh", "-c", removed), "more");
    await own.cli.ok("rmi", "by:commit");
    rmSync(archive);
  });

  it("are copied out and in as an archive, in all details; a socket is left out", async () => {
    const root = join(await rootOf(own.lab, own.cli, "one"), "made");
    const server = createServer();
    // this machine's root is nobody in a user namespace
    if (first === 0) {
      const { atime, mtime } = statSync(root);
      server.listen(join(root, "socket"));
      await new Promise((ready) => server.once("listening", ready));
      utimesSync(root, atime, mtime);
    }
    const archive = join(dir, "made.tar");
    // a shell, as the archive is no text
    const pipe = (script: string) => {
      const docker = `docker -H unix://${own.lab.socket("node1")}`;
      const done = spawnSync("sh", ["-c", script.replaceAll("docker", docker)], { encoding: "utf8" });
      assert.equal(done.status, 0, done.stderr);
    };
    pipe(`docker cp one:/made - > ${archive}`);
    execFileSync("tar", [...TAR, "-C", dir, "-xf", archive]);
    const copied = treeOf(join(dir, "made")).slice(1);
    assert.deepEqual(copied, made);
    for (const compress of ["cat", "gzip", "zstd"]) {
      await own.cli.ok("exec", "one", "mkdir", "/in");
      pipe(`tar ${TAR.join(" ")} -C ${dir} -c made | ${compress} | docker cp -a - one:/in`);
      assert.deepEqual(await tree("one", "in/made"), made, compress);
      await own.cli.ok("exec", "one", "rm", "-r", "/in");
    }
    if (first === 0) {
      const { atime, mtime } = statSync(root);
      await new Promise((closed) => server.close(closed));
      utimesSync(root, atime, mtime);
    }
    rmSync(join(dir, "made"), { recursive: true });
  });

  it("are copied by docker and creel, as far as they can", async () => {
    // neither keeps attributes, docker's client keeps neither owners on the way out nor holes
    const plain = (lines: string[], ...lost: number[]) =>
      lines.map((line) =>
        line
          .split("|")
          .filter((_, n) => !lost.includes(n))
          .join("|"),
      );
    for (const [cli, ...lost] of [
      [own.cli, ATTRIBUTES, HOLES, OWNER],
      [creel(own.lab), ATTRIBUTES],
    ] as const) {
      await cli.ok("cp", "-a", "one:/made", join(dir, "out"));
      assert.deepEqual(plain(treeOf(join(dir, "out")).slice(1), ...lost), plain(made, ...lost));
      await cli.ok("cp", "-a", join(dir, "out"), "one:/in");
      assert.deepEqual(plain(await tree("one", "in"), ...lost), plain(made, ...lost));
      await own.cli.ok("exec", "one", "rm", "-r", "/in");
      rmSync(join(dir, "out"), { recursive: true });
    }
  });

  it("outlive engine and daemon, and a stop", async () => {
    await own.cli.ok("create", "--name", "idle", "-v", "kept:/kept", "busybox", "cat", "/word");
    execFileSync("sh", ["-c", `echo word > ${join(dir, "word")}`]);
    await own.cli.ok("cp", join(dir, "word"), "idle:/word");
    const before = await processIds(own.lab, "node1");
    for (const program of ["engine", "creeld"] as const) await killProgram(own.lab, "node1", program);
    assert.deepEqual(await processIds(own.lab, "node1"), before);
    assert.deepEqual(await tree("one"), made);
    assert.equal(await own.cli.ok("start", "-a", "idle"), "word");
    await own.cli.ok("restart", "-t", "0", "one");
    assert.deepEqual((await tree("one")).filter((line) => !/^\.\|/.test(line)).length, made.length - 1);
    await own.cli.ok("rm", "-f", "one", "idle");
  });

  it("go with their containers and images, to the last folder", async () => {
    await own.cli.ok("run", "--name", "gone", "-v", "/own", "busybox", "touch", "/own/f", "/f");
    await own.cli.ok("commit", "gone", "gone");
    await own.cli.ok("container", "prune", "-f");
    await own.cli.ok("image", "prune", "-f", "-a");
    await own.cli.ok("volume", "prune", "-f");
    const { containers, images, volumes, ...kept } = await own.inventory();
    assert.deepEqual([containers, images, volumes], [[""], [""], ["kept"]]);
    assert.deepEqual(
      Object.entries(kept).flatMap(([kind, names]) => names.map((name) => `${kind}: ${name}`)),
      ["folders: kept"],
    );
    if (own.driver === "btrfs")
      assert.equal(execFileSync("btrfs", ["subvolume", "list", own.lab.dir], { encoding: "utf8" }), "");
  });
}
