import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cgroupFile, cgroupOf, limits } from "./cgroup.ts";
import { type Check, docker, inspect, ok, run, until } from "./tools.ts";

const CONFIG = "/etc/creel/daemon.json";
/** Nodes of two disks that everybody may use, as far as their owners and modes say. */
const NODES = { refused: "/var/tmp/refused", given: "/var/tmp/given" };
const FIRST = 100_000;

/** Starts creeld and the engine again, with the configuration that is there now. */
async function again(users: boolean): Promise<void> {
  const engine = readFileSync("/run/creel/engine.pid", "utf8").trim();
  await ok("systemctl", "stop", "creeld");
  process.kill(Number(engine), "SIGTERM");
  await until("its end", async () => (await run("kill", "-0", engine)).code !== 0);
  await ok("systemctl", "start", "creeld");
  const options = await docker("info", "--format", "{{.SecurityOptions}}");
  assert.equal(options.includes("name=userns"), users, options);
}

/** Containers with users of their own, on cgroup v2 alone. */
export const userChecks: Check[] = [
  {
    name: "creeld gives containers users of their own",
    async check() {
      for (const file of ["/etc/subuid", "/etc/subgid"]) appendFileSync(file, `dockremap:${FIRST}:65536\n`);
      mkdirSync("/etc/creel", { recursive: true });
      writeFileSync(CONFIG, JSON.stringify({ "userns-remap": "default" }));
      await again(true);
      for (const [node, disk] of [
        [NODES.refused, "/dev/vda"],
        [NODES.given, "/dev/vdb"],
      ] as const) {
        const { rdev } = statSync(disk);
        await ok("mknod", "-m", "666", node, "b", String((rdev >> 8) & 0xfff), String(rdev & 0xff));
      }
      const given = [
        "-v",
        `${NODES.refused}:/refused`,
        "--device",
        `${NODES.given}:/dev/given:r`,
        "-v",
        "kept:/data",
      ];
      const limits = ["--memory", "24m", "--memory-swap", "24m", "--pids-limit", "12", "--cpus", "0.5"];
      const script = "echo 1 > /data/f; chown 7:8 /data/f; echo 2 > /own; exec sleep 1000";
      await docker("run", "-d", "--name", "mapped", ...given, ...limits, "busybox", "sh", "-c", script);
    },
  },
  {
    name: "the first process of such a container is root inside and nobody in particular outside",
    async check() {
      assert.match(await docker("exec", "mapped", "cat", "/proc/self/uid_map"), /^\s+0\s+100000\s+65536$/);
      const status = readFileSync(`/proc/${await inspect("mapped", ".State.Pid")}/status`, "utf8");
      assert.match(status, /^Uid:\s+100000\s+100000\s+100000\s+100000$/m);
      assert.match(status, /^Gid:\s+100000\s+100000\s+100000\s+100000$/m);
    },
  },
  {
    name: "its files have plain owners, inside and on disk",
    async check() {
      const look = "stat -c %u:%g /bin/busybox /own /data/f /etc/hosts /dev/null";
      await until(
        "it wrote",
        async () => (await run("docker", "exec", "mapped", "test", "-e", "/own")).code === 0,
      );
      assert.equal(await docker("exec", "mapped", "sh", "-c", look), "0:0\n0:0\n7:8\n0:0\n0:0");
      const { uid, gid } = statSync("/var/lib/creel/volumes/kept/_data/f");
      assert.deepEqual([uid, gid], [7, 8]);
    },
  },
  {
    name: "its devices are those that it was given, as far as they were",
    async check() {
      const line =
        "head -c 1 /dev/given | wc -c; echo > /dev/given; head -c 1 /refused; busybox mknod /tmp/disk b 254 0; echo > /dev/null && echo written";
      const { stdout, stderr } = await run("docker", "exec", "mapped", "sh", "-c", line);
      assert.equal(stdout, "1\nwritten", stderr);
      assert.match(stderr, /can't create \/dev\/given: Operation not permitted/);
      assert.match(stderr, /\/refused: (Operation not permitted|Permission denied)/);
      assert.match(stderr, /mknod: .*Operation not permitted/);
    },
  },
  {
    name: "its limits hold, and it cannot raise them",
    async check() {
      const { memory, swap, pids, cpu } = limits(await cgroupOf("mapped"));
      assert.deepEqual([memory, swap, pids, cpu], ["25165824", "0", "12", "50000 100000"]);
      const raise =
        "cat /proc/self/cgroup; cd /sys/fs/cgroup; cat pids.max; echo max > pids.max; mkdir below";
      const { stdout, stderr } = await run("docker", "exec", "mapped", "sh", "-c", raise);
      assert.equal(stdout, "0::/\n12");
      assert.match(stderr, /pids\.max: (Read-only file system|Permission denied)/);
      assert.match(stderr, /below.*: (Read-only file system|Permission denied)/);
      const fork = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait";
      const many = await run("docker", "exec", "mapped", "sh", "-c", fork);
      assert.match(`${many.stdout}${many.stderr}`, /can't fork: Resource temporarily unavailable/);
      const fill = await run("docker", "exec", "mapped", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M");
      assert.equal(fill.code, 137, fill.stderr);
      assert.match(await cgroupFile("mapped", "memory.events"), /^oom_kill [1-9]/m);
    },
  },
  {
    name: "it ends clean, and creeld without them has the host's users again",
    async check() {
      const pid = await inspect("mapped", ".State.Pid");
      await docker("rm", "-f", "mapped");
      assert.notEqual((await run("kill", "-0", pid)).code, 0);
      await docker("volume", "rm", "kept");
      for (const node of Object.values(NODES)) rmSync(node);
      rmSync(CONFIG);
      await again(false);
      const map = await docker("run", "--rm", "busybox", "cat", "/proc/self/uid_map");
      assert.match(map, /^\s+0\s+0\s/);
    },
  },
];
