import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { blockIo, cgroupFile, cgroupOf } from "./cgroup.ts";
import { type Check, docker, ok, run } from "./tools.ts";

/** The first disk of this machine, as cgroups name it. */
export function disk(): string {
  const { rdev } = statSync("/dev/vda");
  return `${(rdev >> 8) & 0xfff}:${rdev & 0xff}`;
}

const WEIGHTS = ["--blkio-weight", "300", "--blkio-weight-device", "/dev/vda:200"];
const RATES = [
  ["--device-read-bps", "/dev/vda:1mb"],
  ["--device-write-bps", "/dev/vda:2mb"],
  ["--device-read-iops", "/dev/vda:100"],
  ["--device-write-iops", "/dev/vda:200"],
].flat();

/** What limits block I/O: first as the kernel comes, then with bfq as the disk's scheduler, as it is from here on. */
export const blockIoChecks: Check[] = [
  {
    name: "a weight of block I/O is scaled as io.weight wants it; one for a disk is discarded, with Docker's warning",
    async check() {
      assert.match(
        await docker("info", "--format", "{{.Warnings}}"),
        /^\[WARNING: No blkio weight_device support\]$/,
      );
      const command = ["run", "-d", "--name", "weighed", ...WEIGHTS, "busybox", "sleep", "1000"];
      const { code, stderr } = await run("docker", ...command);
      const warning =
        "WARNING: Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.";
      assert.deepEqual([code, stderr.trim()], [0, warning]);
      assert.equal(await cgroupFile("weighed", "io.weight"), "default 2930");
      await docker("update", "--blkio-weight", "1000", "weighed");
      assert.equal(await cgroupFile("weighed", "io.weight"), "default 10000");
      await docker("rm", "-f", "weighed");
    },
  },
  {
    name: "weights of block I/O are bfq's where the kernel has it, and a disk's rates are as asked for",
    v1: true,
    async check() {
      await ok("modprobe", "bfq");
      writeFileSync("/sys/block/vda/queue/scheduler", "bfq");
      assert.doesNotMatch(await docker("info", "--format", "{{.Warnings}}"), /blkio/);
      const { code, stderr } = await run(
        "docker",
        "run",
        "-d",
        ...["--name", "weighed", ...WEIGHTS, ...RATES],
        ...["busybox", "sleep", "1000"],
      );
      assert.deepEqual([code, stderr], [0, ""]);
      const rates = `${disk()} rbps=1048576 wbps=2097152 riops=100 wiops=200`;
      assert.deepEqual(blockIo(await cgroupOf("weighed")), [`300\n${disk()} 200`, rates]);
    },
  },
  {
    name: "a weight of block I/O changes while the container runs, and holds at its next start",
    async check() {
      await docker("update", "--blkio-weight", "700", "weighed");
      assert.equal(await cgroupFile("weighed", "io.bfq.weight"), `default 700\n${disk()} 200`);
      await docker("restart", "-t", "0", "weighed");
      assert.equal(await cgroupFile("weighed", "io.bfq.weight"), `default 700\n${disk()} 200`);
      await docker("rm", "-f", "weighed");
    },
  },
  {
    name: "a weight for a disk that bfq does not schedule is refused, and why",
    async check() {
      assert.match(readFileSync("/sys/block/vdb/queue/scheduler", "utf8"), /\[(none|mq-deadline)\]/);
      const { code, stderr } = await run(
        "docker",
        "run",
        ...["--rm", "--blkio-weight-device", "/dev/vdb:200", "busybox", "true"],
      );
      assert.equal(code, 125, stderr);
      assert.match(stderr, /limit block I\/O: .*weights of a device need bfq as its scheduler/);
      assert.equal(await docker("ps", "-aq", "--filter", "ancestor=busybox"), "");
    },
  },
];
