import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RestError } from "../../../../tools/src/rest.ts";
import { strays } from "../../../src/host-leaks.ts";
import { busyboxImage } from "../../../src/images.ts";
import { until } from "../../../src/wait.ts";
import type { Own } from "./own.ts";

const FULL = /no space left on device/i;
const BIG = 3 << 20;

/** What needs room on a full disk: it is refused in words, makes nothing in part, and works once there is room. */
export function fullCases(own: Own): void {
  let work: Record<string, string[]>;
  const filler = () => join(own.lab.dir, "filler");
  const fill = () => {
    for (const size of [1 << 20, 4096]) {
      try {
        for (;;) appendFileSync(filler(), Buffer.alloc(size, 1), { flush: true });
      } catch (error) {
        assert.match((error as Error).message, /ENOSPC/);
      }
    }
  };

  before(async () => {
    const { cli, lab } = own;
    const [big, image] = [join(lab.dir, "big"), join(lab.dir, "image.tar")];
    writeFileSync(big, randomBytes(BIG));
    writeFileSync(
      image,
      await busyboxImage("other:latest", [{ path: "big", content: randomBytes(BIG), mode: 0o644 }]),
    );
    await cli.ok("run", "-d", "--name", "holder", "busybox", "sleep", "1000");
    await cli.ok("exec", "holder", "sh", "-c", "mkdir /seed; echo before > /here");
    await cli.ok("cp", big, "holder:/seed/big");
    await cli.ok("commit", "holder", "seed");
    await cli.ok("cp", big, "holder:/more");
    await cli.ok("volume", "create", "empty");
    work = {
      commit: ["commit", "holder", "half"],
      "a new volume's first filling": ["create", "--name", "new", "-v", "fresh:/seed", "seed"],
      "a volume's without a name": ["create", "--name", "unnamed", "-v", "/seed", "seed"],
      "an empty volume's": ["create", "--name", "old", "-v", "empty:/seed", "seed"],
      "cp in the place of a file": ["cp", big, "holder:/here"],
      load: ["load", "-i", image],
      import: ["import", image, "imported"],
    };
    // a snapshot needs hardly any room, and has its own
    if (own.driver !== "btrfs") work.create = ["create", "--name", "plain", "seed"];
  });
  after(async () => {
    rmSync(filler(), { force: true });
    await own.cli.ok("rm", "-f", "-v", "holder");
  });

  it("is refused in words, and nothing is made in part", async () => {
    const before = await own.inventory();
    fill();
    for (const [what, args] of Object.entries(work)) {
      const { code, stderr } = await own.cli.run(args);
      assert.notEqual(code, 0, what);
      assert.match(stderr, FULL, what);
      assert.deepEqual(await own.inventory(), before, what);
    }
    await assert.rejects(
      own.lab.rest("node1").post("/commit?container=holder&repo=half"),
      (error: RestError) => error.status === 500 && FULL.test(error.message),
    );
    assert.equal(await own.cli.ok("exec", "holder", "cat", "/here"), "before");
    await until("nothing strays", async () => (await strays(own.lab, "node1")).length === 0);
  });

  it("works once there is room", async () => {
    rmSync(filler());
    for (const [what, args] of Object.entries(work)) assert.equal((await own.cli.run(args)).code, 0, what);
    const size = async (...args: string[]) =>
      own.cli.ok("run", "--rm", ...args, "seed", "stat", "-c", "%s", "/seed/big");
    for (const volume of ["fresh", "empty"]) assert.equal(await size("-v", `${volume}:/seed`), String(BIG));
    assert.equal(await own.cli.ok("run", "--rm", "half", "stat", "-c", "%s", "/more"), String(BIG));
    await own.cli.ok("rm", "-v", "new", "old", "unnamed", ...(own.driver === "btrfs" ? [] : ["plain"]));
    await own.cli.ok("volume", "rm", "fresh", "empty");
    await own.cli.ok("rmi", "half", "other", "imported");
  });
}
