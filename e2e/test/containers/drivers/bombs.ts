import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { statfsSync } from "node:fs";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { tar } from "../../../../tools/src/image.ts";
import { pidOf } from "../../../src/faults.ts";
import { busyboxImage } from "../../../src/images.ts";
import { until } from "../../../src/wait.ts";
import type { Own } from "./own.ts";

type Compress = (data: Uint8Array) => Buffer;

const PIECE = Buffer.alloc(8 << 20, "it is not much");
const PIECES = 128;
const MEMORY = 160 << 20;

const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

/** The header of a file of so many bytes. */
async function headerOf(name: string, size: number): Promise<Buffer> {
  const header = (await tar([{ path: name, content: Buffer.alloc(0) }])).subarray(0, 512);
  // a number too large for its digits is written as such
  if (size < 8 ** 11) header.write(size.toString(8).padStart(11, "0"), 124, "latin1");
  else {
    header.fill(0, 124, 136)[124] = 0x80;
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  header.fill(" ", 148, 156);
  const sum = header.reduce((a, b) => a + b, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

/** The archive of a gibibyte of files, in few bytes: pieces that are compressed one by one are so together, too. */
async function bomb(compress: Compress): Promise<Buffer> {
  const piece = compress(PIECE);
  const names = Array.from({ length: PIECES }, (_, n) => `bomb${n}`);
  const files = names.map(async (name) => [compress(await headerOf(name, PIECE.length)), piece]);
  return Buffer.concat([...(await Promise.all(files)).flat(), compress(Buffer.alloc(1024))]);
}

/** The same as one file. */
async function large(compress: Compress): Promise<Buffer> {
  const pieces = Array<Buffer>(PIECES).fill(compress(PIECE));
  return Buffer.concat([compress(await headerOf("bomb", PIECE.length * PIECES)), ...pieces]);
}

/** An image with such a layer. Its digest is wrong, which would be seen at its end. */
async function image(layer: Buffer): Promise<Buffer> {
  const diff = `sha256:${sha256(Buffer.from("bomb"))}`;
  const config = Buffer.from(JSON.stringify({ os: "linux", rootfs: { type: "layers", diff_ids: [diff] } }));
  const manifest = [{ Config: "config.json", RepoTags: ["bomb:1"], Layers: ["layer.tar"] }];
  return tar([
    { path: "layer.tar", content: layer },
    { path: "config.json", content: config },
    { path: "manifest.json", content: Buffer.from(JSON.stringify(manifest)) },
  ]);
}

/** Archives that would fill the disk: they are refused while there is room for others, and cost little memory. */
export function bombCases(own: Own): void {
  const left = () => {
    const { bavail, bsize } = statfsSync(own.lab.dir);
    return bavail * bsize;
  };
  const peak = () => {
    const pid = pidOf(own.lab, "node1", "engine");
    const { stdout } = own.lab.exec("node1", ["grep", "VmHWM", `/proc/${pid}/status`]);
    return Number(/\d+/.exec(stdout)![0]) << 10;
  };
  const kinds: [string, Compress][] = [
    ["gzip", (data) => gzipSync(data, { level: 1 })],
    ["zstd", (data) => zstdCompressSync(data)],
  ];

  before(() => own.cli.ok("run", "-d", "--name", "target", "busybox", "sleep", "1000"));
  after(async () => {
    await own.cli.ok("rm", "-f", "target");
    assert.ok(peak() < MEMORY, `the engine has had ${peak() >> 20} MiB`);
  });

  for (const [kind, compress] of kinds) {
    it(`of ${kind} in an image, an import and a copy are refused while there is room for others`, async () => {
      const layer = await bomb(compress);
      const [before, room] = [await own.inventory(), left()];
      const backAgain = () =>
        until("the room is back", async () => {
          // btrfs gives it back with its next commit
          execFileSync("sync", ["-f", own.lab.dir]);
          return room - left() < 128 << 20;
        });
      let least = room;
      const watch = setInterval(() => (least = Math.min(least, left())), 5);
      const work: [string[], Buffer][] = [
        [["load"], await image(layer)],
        [["load"], await large(compress)],
        [["import", "-", "bomb:2"], layer],
        [["cp", "-", "target:/tmp"], layer],
      ];
      try {
        for (const [args, input] of work) {
          await backAgain();
          const { code, stderr } = await own.cli.run(args, { input });
          assert.notEqual(code, 0, args.join(" "));
          assert.match(stderr, /no space left on device: .*kept for what runs on it/);
          assert.deepEqual(await own.inventory(), before, args.join(" "));
        }
      } finally {
        clearInterval(watch);
      }
      assert.ok(least > 0, "something was left all the time");
      // as with dockerd, what came before stays; it is whole
      const sizes = await own.cli.ok(
        "exec",
        "target",
        "sh",
        "-c",
        "stat -c %s /tmp/bomb*; rm -r /tmp/*; ls -a /tmp",
      );
      assert.deepEqual(new Set(sizes.split("\n")), new Set([String(PIECE.length), ".", ".."]));
      await backAgain();
    });
  }

  it("of documents are refused", async () => {
    const before = await own.inventory();
    const large = Buffer.alloc(64 << 20, " ");
    const config = Buffer.from("{}");
    const manifest = Buffer.from(JSON.stringify([{ Config: "large", RepoTags: ["bomb:1"], Layers: [] }]));
    for (const files of [
      [{ path: "manifest.json", content: large }],
      [{ path: "index.json", content: large }],
      [
        { path: "large", content: large },
        { path: "manifest.json", content: manifest },
      ],
      [{ path: "oci-layout", content: config }],
    ]) {
      const { code, stderr } = await own.cli.run(["load"], { input: gzipSync(await tar(files)) });
      assert.notEqual(code, 0);
      assert.match(stderr, /larger than \d+ bytes|neither manifest\.json nor index\.json/);
      assert.deepEqual(await own.inventory(), before);
    }
  });

  it("of a size that no disk has are refused at once", async () => {
    const before = await own.inventory();
    const whole = await busyboxImage("huge:1");
    const header = await headerOf("huge", 2 ** 63 - 1024);
    for (const args of [["load"], ["import", "-", "huge:2"], ["cp", "-", "target:/tmp"]]) {
      const { code, stderr } = await own.cli.run(args, { input: Buffer.concat([header, whole]) });
      assert.notEqual(code, 0, args.join(" "));
      assert.match(stderr, /larger than all of it|ends in the middle/, args.join(" "));
      assert.deepEqual(await own.inventory(), before);
    }
  });
}
