import assert from "node:assert/strict";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type Header, pack } from "tar-stream";
import { packed } from "../src/commands/container/cp/pack.ts";
import { isContent, place } from "../src/commands/container/cp/places.ts";
import { unpack } from "../src/commands/container/cp/unpack.ts";
import { type Sample, use, view } from "../src/commands/container/usage.ts";
import { listing } from "../src/output/listing.ts";

describe("cp", () => {
  let dir = "";
  const warned: string[] = [];
  const o = { owners: false, followLink: false, warn: (line: string) => void warned.push(line) };
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "creel-cp-"));
    warned.length = 0;
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it("knows a place in a container from a path here", () => {
    assert.deepEqual(place("web:etc/./hosts"), { container: "web", path: "/etc/hosts" });
    assert.deepEqual(place("web:/srv/"), { container: "web", path: "/srv/" });
    assert.deepEqual(place("web:/srv/."), { container: "web", path: "/srv/." });
    assert.deepEqual(place("web:../../etc"), { container: "web", path: "/etc" });
    for (const path of ["./a:b", "/a:b", "plain", "-"]) assert.deepEqual(place(path), { path });
    for (const bad of [":x", "web:", ""]) assert.throws(() => place(bad), /empty/);
    assert.deepEqual(["a/.", ".", "a", "a/"].map(isContent), [true, true, false, false]);
  });

  it("takes a folder there and back: kinds, modes, times, names of one file", async () => {
    const from = join(dir, "from");
    mkdirSync(join(from, "inside"), { recursive: true });
    const long = `${"n".repeat(120)}ä`;
    writeFileSync(join(from, "inside", long), "text", { mode: 0o751 });
    linkSync(join(from, "inside", long), join(from, "other"));
    symlinkSync("inside/nothing", join(from, "link"));
    writeFileSync(join(from, "empty"), "");
    const source = packed(from, o);
    assert.equal(await unpack(Readable.from(source.archive("any")), join(dir, "to"), o), 4);
    assert.equal(source.bytes(), 4);
    const file = statSync(join(dir, "to/inside", long));
    assert.equal(readFileSync(join(dir, "to/other"), "utf8"), "text");
    assert.equal(statSync(join(dir, "to/other")).ino, file.ino);
    assert.equal(file.mode & 0o777, statSync(join(from, "other")).mode & 0o777);
    assert.equal(Math.trunc(file.mtimeMs / 1000), Math.trunc(statSync(join(from, "other")).mtimeMs / 1000));
    assert.equal(readlinkSync(join(dir, "to/link")), "inside/nothing");
    assert.equal(statSync(join(dir, "to/empty")).size, 0);
    assert.deepEqual(warned, []);
  });

  it("never writes outside of its target, whatever the archive holds", async () => {
    mkdirSync(join(dir, "outside"));
    const attack = async (...entries: (Partial<Header> & { name: string })[]) => {
      const archive = pack();
      for (const entry of entries) archive.entry(entry, entry.type === undefined ? "stolen" : "");
      archive.finalize();
      await assert.rejects(unpack(Readable.from(archive), join(dir, "to"), o), /the archive is damaged/);
    };
    const folder = { name: "x/", type: "directory" } as const;
    await attack(folder, { name: "x/../../outside/file" });
    await attack(folder, { name: "x/way", type: "symlink", linkname: "../outside" }, { name: "x/way/file" });
    await attack({ name: "x/file" });
    await attack(folder, { name: "x/hard", type: "link", linkname: "/etc/passwd" });
    assert.equal(lstatSync(join(dir, "to/way")).isSymbolicLink(), true);
    assert.throws(() => statSync(join(dir, "outside/file")), /ENOENT/);
  });
});

describe("stats", () => {
  it("shows what docker shows of the same figures", async () => {
    const cpu = (own: number, all: number) => ({
      cpu_usage: { total_usage: own },
      system_cpu_usage: all,
      online_cpus: 2,
    });
    const now: Sample = {
      id: "0123456789abcdef",
      name: "/web",
      pids_stats: { current: 3 },
      cpu_stats: cpu(300, 2000),
      precpu_stats: cpu(100, 1000),
      memory_stats: { usage: 3 << 20, limit: 1 << 30, stats: { inactive_file: 1 << 20 } },
      blkio_stats: {
        io_service_bytes_recursive: [
          { op: "Read", value: 1000 },
          { op: "write", value: 2500 },
        ],
      },
      networks: { eth0: { rx_bytes: 10, tx_bytes: 20 }, eth1: { rx_bytes: 1, tx_bytes: 2 } },
    };
    const used = use("web", now, now.precpu_stats);
    const format =
      "{{.ID}} {{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}";
    assert.deepEqual(await listing([used], view({}), { format }), [
      "0123456789ab web 40.00% 2MiB / 1GiB 0.20% 11B / 22B 1kB / 2.5kB 3",
    ]);
    const idle = use("web", { ...now, cpu_stats: cpu(100, 2000), memory_stats: {} }, now.precpu_stats);
    assert.deepEqual([idle.cpuPercent, idle.memory], [0, 0]);
  });
});
