import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { disk } from "./block-io.ts";
import { blockIo, exists, file, frozen, type Limits, limits, on } from "./cgroup.ts";
import { type Check, docker, ok, run, until } from "./tools.ts";

const RUNTIME = "/opt/creel/runtime-native/target/release/creel-runtime";
const ROOT = "/run/oci-check";
const BUNDLE = "/var/tmp/oci-check";
const MIB = 1 << 20;
const rates = () => `${disk()} rbps=${MIB} wbps=max riops=max wiops=200`;

/** A way to make a container's cgroup: the flags of the runtime, `linux.cgroupsPath`, and the cgroup that it means. */
interface Driver {
  name: string;
  flags: string[];
  path: string;
  cgroup: string;
  unit?: string;
}

const drivers: Driver[] = [
  { name: "cgroupfs", flags: [], path: "/oci/check", cgroup: "/oci/check" },
  {
    name: "systemd",
    flags: ["--systemd-cgroup"],
    path: "machine-oci.slice:check:one",
    cgroup: "/machine.slice/machine-oci.slice/check-one.scope",
    unit: "check-one.scope",
  },
];

function bundle(driver: Driver, args: string[], memory: number): void {
  const { rdev } = statSync("/dev/null");
  const [major, minor] = disk().split(":").map(Number);
  writeFileSync(
    `${BUNDLE}/config.json`,
    JSON.stringify({
      ociVersion: "1.0.2",
      process: {
        args,
        cwd: "/",
        user: { uid: 0, gid: 0 },
        env: ["PATH=/bin"],
        capabilities: Object.fromEntries(
          ["bounding", "effective", "permitted"].map((set) => [set, ["CAP_MKNOD"]]),
        ),
      },
      root: { path: "rootfs" },
      annotations: { "org.systemd.property.TimeoutStopUSec": "uint64 7000000" },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
        { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
        { destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "ro"] },
      ],
      linux: {
        cgroupsPath: driver.path,
        namespaces: ["pid", "ipc", "uts", "mount", "cgroup", "network"].map((type) => ({ type })),
        resources: {
          devices: [
            { allow: false, access: "rwm" },
            { allow: true, type: "c", major: rdev >> 8, minor: rdev & 0xff, access: "rw" },
          ],
          memory: { limit: memory, swap: memory, reservation: 8 * MIB },
          cpu: { quota: 50_000, period: 100_000, shares: 512, cpus: "0" },
          pids: { limit: 20 },
          hugepageLimits: [{ pageSize: "2MB", limit: 4 * MIB }],
          blockIO: {
            weight: 300,
            throttleReadBpsDevice: [{ major, minor, rate: MIB }],
            throttleWriteIOPSDevice: [{ major, minor, rate: 200 }],
          },
        },
      },
    }),
  );
}

const oci = (driver: Driver, ...args: string[]) => ok(RUNTIME, "--root", ROOT, ...driver.flags, ...args);

/** Starts a command of the runtime whose output goes to a file; the container keeps no pipe of this process's. */
async function detached(driver: Driver, log: string, ...args: string[]): Promise<number | null> {
  const out = openSync(log, "w");
  const child = spawn(RUNTIME, ["--root", ROOT, ...driver.flags, ...args], { stdio: ["ignore", out, out] });
  return new Promise((resolve) => child.once("exit", resolve));
}

const state = async (driver: Driver): Promise<string> => JSON.parse(await oci(driver, "state", "one")).status;

const EXPECTED: Limits = {
  memory: String(64 * MIB),
  swap: "0",
  reservation: String(8 * MIB),
  cpu: "50000 100000",
  share: on("59", "512"),
  cpus: "0",
  pids: "20",
};

function limitedTo(driver: Driver, expected: Limits, weight: string): void {
  assert.deepEqual(limits(driver.cgroup), expected);
  assert.deepEqual(blockIo(driver.cgroup), [weight, rates()]);
}

/** What systemd says of a unit. */
async function unitIs(unit: string, expected: Record<string, string>): Promise<void> {
  const text = await ok("systemctl", "show", unit, "--property", Object.keys(expected).join());
  assert.deepEqual(Object.fromEntries(text.split("\n").map((line) => line.split("=", 2))), expected);
}

async function limited(driver: Driver): Promise<void> {
  bundle(driver, ["sleep", "1000"], 64 * MIB);
  const code = await detached(driver, "/tmp/oci.log", "run", "-d", "-b", BUNDLE, "one");
  assert.equal(code, 0, readFileSync("/tmp/oci.log", "utf8"));
  limitedTo(driver, EXPECTED, "300");
  assert.equal(file(driver.cgroup, on("hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes")), String(4 * MIB));
  const { pid } = JSON.parse(await oci(driver, "state", "one"));
  assert.equal(file(driver.cgroup, "cgroup.procs"), String(pid));
  const pids = on("pids.max", "pids/pids.max");
  const line = `sed 's/.*://' /proc/self/cgroup | sort -u; cat /sys/fs/cgroup/${pids}`;
  assert.equal(await oci(driver, "exec", "one", "sh", "-c", line), "/\n20");
  if (driver.unit === undefined) return;
  const memory = String(64 * MIB);
  await unitIs(driver.unit, {
    Delegate: "yes",
    Slice: "machine-oci.slice",
    CPUQuotaPerSecUSec: "500ms",
    TasksMax: "20",
    TimeoutStopUSec: "7s",
    ...on<Record<string, string>>(
      { MemoryMax: memory, MemoryLow: String(8 * MIB), AllowedCPUs: "0" },
      { MemoryLimit: memory, CPUShares: "512" },
    ),
  });
}

async function devices(driver: Driver): Promise<void> {
  const { rdev } = statSync("/dev/vda");
  const line = `mknod /disk b ${(rdev >> 8) & 0xfff} ${rdev & 0xff}; head -c 1 /disk > /dev/null; rm /disk; echo > /dev/null && echo written`;
  const { stdout, stderr } = await run(
    RUNTIME,
    "--root",
    ROOT,
    ...driver.flags,
    "exec",
    "one",
    "sh",
    "-c",
    line,
  );
  assert.match(stderr, /disk.*Operation not permitted/);
  assert.equal(stdout, "written");
}

async function changed(driver: Driver): Promise<void> {
  const flags = ["--memory", "96m", "--memory-swap", "128m", "--pids-limit", "30", "--cpu-quota", "70000"];
  flags.push("--blkio-weight", "500");
  await oci(driver, "update", ...flags, "one");
  const memory = { memory: String(96 * MIB), swap: String(32 * MIB) };
  const now: Limits = { ...EXPECTED, ...memory, cpu: "70000 100000", pids: "30" };
  limitedTo(driver, now, "500");
  const stats = JSON.parse(await oci(driver, "events", "--stats", "one")).data;
  assert.deepEqual([stats.memory.usage.limit, stats.pids.limit, stats.pids.current], [96 * MIB, 30, 1]);
  if (driver.unit === undefined) return;
  await unitIs(driver.unit, {
    CPUQuotaPerSecUSec: "700ms",
    TasksMax: "30",
    ...on<Record<string, string>>({ MemoryMax: now.memory, IOWeight: "4500" }, { MemoryLimit: now.memory }),
  });
  await ok("systemctl", "daemon-reload");
  // On v1 the weight is not told, and becomes systemd's own.
  limitedTo(driver, now, on("500", "136"));
  await devices(driver);
}

async function paused(driver: Driver): Promise<void> {
  await oci(driver, "pause", "one");
  assert.equal(await state(driver), "paused");
  assert.ok(frozen(driver.cgroup));
  await oci(driver, "resume", "one");
  assert.equal(await state(driver), "running");
}

async function removed(driver: Driver): Promise<void> {
  await oci(driver, "kill", "one", "KILL");
  await until("its end", async () => (await state(driver)) === "stopped");
  await oci(driver, "delete", "one");
  await gone(driver);
}

async function gone(driver: Driver): Promise<void> {
  assert.ok(!exists(driver.cgroup), "no cgroup is left");
  if (driver.unit === undefined) return;
  const { stdout } = await run("systemctl", "list-units", "--all", "--plain", "--no-legend", driver.unit);
  assert.equal(stdout, "", "no unit is left");
}

async function outOfMemory(driver: Driver): Promise<void> {
  bundle(driver, ["sh", "-c", "sleep 1000; true"], 24 * MIB);
  assert.equal(await detached(driver, "/tmp/oci.log", "run", "-d", "-b", BUNDLE, "one"), 0);
  const told = detached(driver, "/tmp/oci-events.log", "events", "--interval", "1m", "one");
  const hungry = ["exec", "one", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M"];
  // It may not have begun to look when the first is killed.
  await until("the event", async () => {
    assert.equal((await run(RUNTIME, "--root", ROOT, ...hungry)).code, 137);
    return /"type":"oom"/.test(readFileSync("/tmp/oci-events.log", "utf8"));
  });
  await oci(driver, "delete", "-f", "one");
  assert.equal(await told, 0);
  await gone(driver);
}

async function prepare(): Promise<void> {
  mkdirSync(`${BUNDLE}/rootfs`, { recursive: true });
  await docker("create", "--name", "rootfs", "busybox");
  await docker("export", "-o", `${BUNDLE}/rootfs.tar`, "rootfs");
  await docker("rm", "rootfs");
  await ok("tar", "-xf", `${BUNDLE}/rootfs.tar`, "-C", `${BUNDLE}/rootfs`);
}

/** What `creel-runtime` does by itself, with either way to make cgroups. */
export const ociChecks: Check[] = [
  { name: "creel-runtime: a bundle is made of an image", v1: true, check: prepare },
  ...drivers.flatMap((driver) =>
    [
      { name: "limits are in the container's cgroup", check: limited },
      { name: "devices are refused that nobody gave", check: devices },
      { name: "update changes limits, and stats tell of them", check: changed },
      { name: "pause and resume hold the cgroup still", check: paused },
      { name: "a deleted container leaves nothing", check: removed },
      { name: "a want of memory is an event", check: outOfMemory },
    ].map(({ name, check }) => ({
      name: `creel-runtime with ${driver.name}: ${name}`,
      // The other one is tried on v1 wherever the tests run.
      v1: driver.unit !== undefined,
      check: () => check(driver),
    })),
  ),
];
