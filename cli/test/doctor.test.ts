import assert from "node:assert/strict";
import { checkCgroups, readCgroups } from "../src/commands/doctor/cgroups.ts";
import type { Finding } from "../src/commands/doctor/check.ts";
import { checkClock } from "../src/commands/doctor/clock.ts";
import { checkDaemon } from "../src/commands/doctor/daemon.ts";
import { checkDisk } from "../src/commands/doctor/disk.ts";
import { report } from "../src/commands/doctor/doctor.ts";
import { checkKernel, type Kernel } from "../src/commands/doctor/kernel.ts";

const of = (findings: Finding[], name: string) => findings.find((each) => each.name === name)!;

describe("doctor", () => {
  const kernel = (more: Partial<Kernel>): Kernel => ({
    version: "6.1.0-13-amd64",
    options: undefined,
    modules: new Set(),
    filesystems: new Set(),
    ...more,
  });
  it("judges a kernel by its configuration and its modules", () => {
    const options = new Map([
      ["VETH", "m"],
      ["VXLAN", "y"],
    ]);
    const found = checkKernel(
      kernel({ options, modules: new Set(["bridge"]), filesystems: new Set(["overlay"]) }),
      () => true,
    );
    assert.deepEqual(
      ["version", "veth", "vxlan", "bridge", "overlayfs", "nftables"].map((name) => of(found, name).status),
      ["ok", "ok", "ok", "ok", "ok", "missing"],
    );
    assert.match(of(found, "nftables").means, /ports cannot be published/);
  });
  it("says what cannot be told, what is too old, and which namespaces are missing", () => {
    const found = checkKernel(kernel({ version: "4.19.0" }), (path) => !String(path).endsWith("/cgroup"));
    assert.equal(of(found, "version").status, "missing");
    assert.equal(of(found, "veth").status, "unknown");
    assert.match(of(found, "namespaces").means, /without the cgroup namespaces/);
  });
  it("reads all three ways of control groups", () => {
    const v1 =
      "30 29 0:1 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct\n31 29 0:2 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio";
    const v2 = "32 29 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
    assert.equal(readCgroups(v1, "").version, "v1");
    assert.deepEqual([...readCgroups(v1, "").controllers], ["cpu", "cpuacct", "io"]);
    assert.equal(readCgroups(`${v1}\n${v2}`, "").version, "hybrid");
    const pure = readCgroups(v2, "cpuset cpu io memory pids\n");
    assert.equal(pure.version, "v2");
    assert.ok(checkCgroups(pure).every(({ status }) => status === "ok"));
    assert.equal(of(checkCgroups(readCgroups(v1, "")), "memory").status, "missing");
    assert.equal(checkCgroups(readCgroups("", ""))[0]!.status, "missing");
  });
  it("looks at disk, clock and daemon", () => {
    assert.match(of(checkDisk("/tmp/does/not/exist"), "free").found, /% used/);
    const now = Date.now();
    assert.equal(of(checkClock(now - 3 * 3600_000, now), "daemon's clock").status, "missing");
    assert.equal(of(checkClock(now, now), "daemon's clock").status, "ok");
    assert.equal(of(checkDaemon(new Error("is creeld running?"), "1"), "creeld").status, "poor");
  });
  it("adds up what it found", () => {
    const finding = (status: Finding["status"], means = ""): Finding => ({
      area: "kernel",
      name: "x",
      status,
      found: "f",
      means,
    });
    assert.deepEqual(report([finding("ok")]), ["kernel", "  ✓ x  f", "", "all is well"]);
    const lines = report([finding("missing", "m"), finding("poor", "p"), finding("unknown")]);
    assert.equal(lines.at(-1), "1 thing missing, 1 to look at, 1 that cannot be told");
    assert.match(lines[2]!, /→ m/);
  });
});
