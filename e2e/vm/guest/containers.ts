import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { cgroupFile, cgroupOf, exists, frozen, type Limits, limits, on } from "./cgroup.ts";
import { type Check, docker, get, inspect, run, until } from "./tools.ts";

const IMAGES = "/opt/creel/guest";
const LIMITS = [
  "--memory",
  "64m",
  "--cpus",
  "0.5",
  "--pids-limit",
  "20",
  "--cpu-shares",
  "512",
  "--cpuset-cpus",
  "0",
];

/** Runs a shell line in a new container, to its end. */
const sh = (line: string, ...flags: string[]) =>
  run("docker", "run", "--rm", ...flags, "busybox", "sh", "-c", line);

async function shOk(line: string, ...flags: string[]): Promise<string> {
  const { code, stdout, stderr } = await sh(line, ...flags);
  assert.equal(code, 0, `${line}: exit ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** Major and minor number of a disk of this machine. */
function diskNumbers(path: string): { major: number; minor: number } {
  const { rdev } = statSync(path);
  return { major: (rdev >> 8) & 0xfff, minor: rdev & 0xff };
}

const MIB = 1 << 20;

/** What a container's limits must be. */
async function limitedTo(name: string, expected: Limits): Promise<void> {
  assert.deepEqual(limits(await cgroupOf(name)), expected);
}

export const containerChecks: Check[] = [
  {
    name: "images load and a container runs to its end",
    v1: true,
    async check() {
      await docker("load", "-i", `${IMAGES}/busybox.tar`);
      await docker("load", "-i", `${IMAGES}/whoami.tar`);
      const { code, stdout } = await sh("echo hello; exit 7");
      assert.deepEqual([code, stdout], [7, "hello"]);
    },
  },
  {
    name: "docker info knows the version of cgroups",
    v1: true,
    async check() {
      const version = await docker("info", "--format", "{{.CgroupVersion}} {{.CgroupDriver}}");
      assert.equal(version, on("2 cgroupfs", "1 cgroupfs"));
    },
  },
  {
    name: "limits are in the container's cgroup, as the machine sees it",
    v1: true,
    async check() {
      await docker("run", "-d", "--name", "limited", "-p", "8081:8080", ...LIMITS, "whoami");
      const memory = { memory: String(64 * MIB), swap: String(64 * MIB), reservation: on("0", "max") };
      const cpu = { cpu: "50000 100000", share: on("59", "512"), cpus: "0" };
      await limitedTo("limited", { ...memory, ...cpu, pids: "20" });
      assert.equal(await cgroupFile("limited", "cgroup.procs"), await inspect("limited", ".State.Pid"));
    },
  },
  {
    name: "the container sees its own cgroup as the root, with its limits",
    v1: true,
    async check() {
      const files = on(
        "memory.max cpu.max pids.max",
        "memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max",
      );
      const line = `sed 's/.*://' /proc/self/cgroup | sort -u; cd /sys/fs/cgroup; cat ${files}; cd ${on(".", "systemd")}; ls -d creel; mkdir below`;
      const { stdout, stderr } = await sh(line, "--cgroupns", "private", ...LIMITS);
      const cpu = on("50000 100000", "50000");
      assert.deepEqual(stdout.split("\n"), ["/", String(64 * MIB), cpu, "20"]);
      assert.match(stderr, /creel: No such file[\s\S]*below.*: Read-only file system/);
    },
  },
  {
    name: "the container cannot raise its limits",
    async check() {
      const { stdout, stderr } = await sh(
        "cd /sys/fs/cgroup; echo max > memory.max; mkdir below; mount -o remount,rw /sys/fs/cgroup; cat memory.max",
        "--memory",
        "64m",
      );
      assert.match(stderr, /memory\.max: Read-only file system/);
      assert.match(stderr, /below.*: Read-only file system/);
      assert.match(stderr, /permission denied|not permitted/i);
      assert.equal(stdout, "67108864");
    },
  },
  {
    name: "a container makes no more processes than its limit",
    async check() {
      const line = "i=0; while [ $i -lt 40 ]; do sleep 2 & i=$((i+1)); done; wait; echo never";
      const { stdout, stderr } = await sh(line, "--pids-limit", "12");
      assert.match(`${stdout}${stderr}`, /can't fork: Resource temporarily unavailable/);
    },
  },
  {
    name: "a container that takes more memory than its limit is killed, and that is told",
    v1: true,
    async check() {
      const flags = ["--name", "hungry", "--memory", "24m", "--memory-swap", "24m"];
      const { code } = await run(
        "docker",
        "run",
        ...flags,
        "busybox",
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=64M",
      );
      assert.equal(code, 137);
      assert.equal(await inspect("hungry", ".State.OOMKilled"), "true");
      await docker("rm", "hungry");
    },
  },
  {
    name: "devices are refused that nobody gave, and given as they were",
    v1: true,
    async check() {
      const { major, minor } = diskNumbers("/dev/vda");
      const make = `busybox mknod /tmp/disk b ${major} ${minor} && head -c 1 /tmp/disk > /tmp/one`;
      const refused = await sh(make);
      assert.match(refused.stderr, /Operation not permitted/);
      await shOk("head -c 1 /dev/vda > /tmp/one", "--device", "/dev/vda:/dev/vda:r");
      const write = await sh("echo > /dev/vda", "--device", "/dev/vda:/dev/vda:r");
      assert.match(write.stderr, /not permitted/);
      await shOk("head -c 8 /dev/urandom > /dev/null && echo > /dev/null");
      await shOk(make, "--privileged");
    },
  },
  {
    name: "pause and unpause hold the cgroup still",
    v1: true,
    async check() {
      await docker("pause", "limited");
      assert.ok(frozen(await cgroupOf("limited")));
      assert.equal(await inspect("limited", ".State.Status"), "paused");
      await docker("unpause", "limited");
      assert.ok(!frozen(await cgroupOf("limited")));
    },
  },
  {
    name: "exec joins the container's cgroup",
    async check() {
      await docker("run", "-d", "--name", "shell", "--memory", "64m", "busybox", "sleep", "1000");
      assert.equal(await docker("exec", "shell", "cat", "/proc/self/cgroup"), "0::/");
      assert.equal(
        await docker("exec", "shell", "cat", "/proc/1/oom_score_adj", "/proc/self/oom_score_adj"),
        "0\n0",
      );
      await docker("rm", "-f", "shell");
    },
  },
  {
    name: "the host's cgroup namespace, and a writable one for a privileged container",
    async check() {
      const path = await shOk("cat /proc/self/cgroup", "--cgroupns", "host");
      assert.match(path, /^0::\/creel\/[0-9a-f]{64}/);
      await shOk("mkdir /sys/fs/cgroup/below && ls /sys/fs/cgroup/below/cgroup.procs", "--privileged");
    },
  },
  {
    name: "limits change while the container runs, and its stats tell of them",
    v1: true,
    async check() {
      const flags = ["--memory", "96m", "--memory-swap", "128m", "--memory-reservation", "16m"];
      await docker(
        "update",
        ...flags,
        "--cpus",
        "0.7",
        "--cpu-shares",
        "2048",
        "--pids-limit",
        "30",
        "limited",
      );
      const memory = { memory: String(96 * MIB), swap: String(32 * MIB), reservation: String(16 * MIB) };
      const cpu = { cpu: "70000 100000", share: on("174", "2048"), cpus: "0" };
      await limitedTo("limited", { ...memory, ...cpu, pids: "30" });
      const stats = await docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "limited");
      assert.match(stats, / \/ 96MiB [1-9]\d*$/);
    },
  },
  {
    name: "stats tell how busy a container is, and what it reads",
    async check() {
      const busy = "dd if=/dev/vda of=/dev/null bs=64k skip=20000 count=1; while :; do :; done";
      await docker(
        "run",
        "-d",
        "--name",
        "busy",
        "--device",
        "/dev/vda:/dev/vda:r",
        "busybox",
        "sh",
        "-c",
        busy,
      );
      const told = await until("it has read", async () => {
        const line = await docker("stats", "--no-stream", "--format", "{{.CPUPerc}} {{.BlockIO}}", "busy");
        return line.endsWith(" 0B / 0B") ? undefined : line;
      });
      await docker("rm", "-f", "busy");
      const [, cpu, read] = /^([0-9.]+)% ([0-9.]+)kB \/ 0B$/.exec(told) ?? assert.fail(told);
      assert.ok(Number(cpu) > 1 && Number(read) >= 65, told);
    },
  },
  {
    name: "limits are taken away while the container runs, and given to one that is stopped",
    async check() {
      await docker("update", "--memory-swap", "-1", "--pids-limit", "-1", "limited");
      const { swap, pids } = limits(await cgroupOf("limited"));
      assert.deepEqual([swap, pids], ["max", "max"]);
      await docker("create", "--name", "later", "busybox", "sleep", "1000");
      await docker("update", "--cpuset-cpus", "0", "--memory", "32m", "--cpus", "0.2", "later");
      await docker("start", "later");
      const memory = { memory: String(32 * MIB), swap: String(32 * MIB), reservation: on("0", "max") };
      const cpu = { cpu: "20000 100000", share: on("100", "1024"), cpus: "0" };
      await limitedTo("later", { ...memory, ...cpu, pids: "max" });
      const refused = await run("docker", "update", "--cpuset-cpus", "1", "later");
      assert.match(refused.stderr, /Requested CPUs are not available - requested 1, available: 0/);
      await docker("rm", "-f", "later");
    },
  },
  {
    name: "a published port answers, at this machine's address and at loopback",
    async check() {
      const id = (await inspect("limited", ".Id")).slice(0, 12);
      for (const host of ["127.0.0.1", "10.0.2.15"]) {
        const answer = await until("an answer", () => get(`http://${host}:8081/`));
        assert.match(answer, new RegExp(id));
      }
    },
  },
  {
    name: "a removed container leaves no cgroup and no mount",
    v1: true,
    async check() {
      const [id, cgroup] = [await inspect("limited", ".Id"), await cgroupOf("limited")];
      await docker("rm", "-f", "limited");
      assert.ok(!exists(cgroup));
      assert.ok(!readFileSync("/proc/self/mounts", "utf8").includes(id));
    },
  },
];
