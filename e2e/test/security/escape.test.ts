import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../../../tools/src/root.ts";
import { answers, attackFiles, attackImage } from "../../src/attacks.ts";
import { busyboxBundle, ociRuntime } from "../../src/bundle.ts";
import { type Cli, docker, program } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { until } from "../../src/wait.ts";

const HIDDEN = [
  ...["/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"],
  ...["/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi"],
  ...["/sys/firmware", "/sys/devices/virtual/powercap"],
];

describe("a container's way out", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  let dir: string;
  const sleeper = async (name: string, ...more: string[]) => {
    await cli.ok("run", "-d", "--name", name, ...more, "attack", "sleep", "1000");
    return name;
  };

  before(async () => {
    cli = docker(fixture.lab);
    dir = mkdtempSync(join(tmpdir(), "ce-escape-"));
    await fixture.lab.rest("node1").post("/images/load", await attackImage());
    await sleeper("prey");
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  afterEach(async () => {
    const others = (await cli.ok("ps", "-aq", "--filter", "label=attack")).split("\n").filter(Boolean);
    if (others.length > 0) await cli.ok("rm", "-f", ...others);
  });

  /** What an attacker inside `prey` achieves while `provoke` makes the runtime execute itself there. */
  async function overwritten(provoke: () => Promise<unknown>): Promise<Record<string, string>> {
    const attack = cli.run(["exec", "prey", "/attack", "overwrite", "40000"]);
    const watching = async () => (await cli.ok("top", "prey")).includes("/attack overwrite");
    await until("the attacker watches", watching);
    await provoke();
    const { stdout } = await attack;
    const { dev, ino } = statSync(native("creel-shim"));
    const found = answers(stdout);
    assert.match(found.reached ?? "", /^\d+:\d+$/, `the runtime's program was never seen: ${stdout}`);
    assert.notEqual(found.reached, `${dev}:${ino}`, "it is the file on disk");
    return found;
  }

  it("is not the runtime's program by /proc/PID/exe, in exec and in start (CVE-2019-5736)", async () => {
    const byExec = await overwritten(() => cli.run(["exec", "prey", "/proc/self/exe", "linger"]));
    const byStart = await overwritten(() =>
      cli.run(["run", "--rm", "--pid", "container:prey", "--entrypoint", "/self", "attack", "linger"]),
    );
    for (const found of [byExec, byStart]) {
      assert.equal(found.seals, "write");
      assert.match(found.write!, /^(EPERM|ETXTBSY|EROFS)$/);
    }
    assert.equal(await cli.ok("exec", "prey", "echo", "well"), "well");
  });

  it("is not the program of creel-runtime either", async () => {
    const path = native("creel-runtime");
    const digest = () => createHash("sha256").update(readFileSync(path)).digest("hex");
    const before = digest();
    const log = join(dir, "log");
    const bundle = busyboxBundle(["sh", "-c", "/attack overwrite 10000 >/log/out; sleep 1000"], (spec) => {
      spec.mounts.push({ destination: "/log", type: "bind", source: log, options: ["rbind", "rw"] });
    });
    try {
      mkdirSync(log);
      writeFileSync(join(log, "out"), "");
      for (const name of ["log", "lib64", "lib"])
        mkdirSync(join(bundle, "rootfs", name), { recursive: true });
      for (const { path, content } of attackFiles())
        if (content !== undefined) writeFileSync(join(bundle, "rootfs", path), content, { mode: 0o755 });
      const oci = (...args: string[]) => program(ociRuntime, ["--root", join(dir, "oci"), ...args]);
      const detached = program("sh", [
        "-c",
        `exec ${ociRuntime} --root ${dir}/oci run -d -b ${bundle} fort </dev/null >/dev/null 2>&1`,
      ]);
      assert.equal(detached.code, 0);
      const said = () => readFileSync(join(log, "out"), "utf8");
      await until("the attacker watches", async () => said().includes("waiting"));
      oci("exec", "fort", "/proc/self/exe", "linger");
      await until("the attack is over", async () => said().includes("write="));
      const found = answers(said());
      assert.equal(found.readonly, "yes", said());
      // as long as it runs somewhere it is busy first
      assert.match(found.write ?? "", /^(EROFS|ETXTBSY)$/);
      assert.equal(digest(), before);
      oci("delete", "-f", "fort");
    } finally {
      program(ociRuntime, ["--root", join(dir, "oci"), "delete", "-f", "fort"]);
      rmSync(bundle, { recursive: true, force: true });
    }
  });

  it("is not a descriptor left open, nor a working directory by one (CVE-2024-21626)", async () => {
    assert.equal(await cli.ok("run", "--rm", "attack", "/attack", "files"), "");
    assert.equal(await cli.ok("run", "--rm", "-t", "attack", "/attack", "files"), "");
    assert.equal(await cli.ok("exec", "prey", "/attack", "files"), "");
    assert.equal(await cli.ok("exec", "-t", "prey", "/attack", "files"), "");
    const secret = join(dir, "secret");
    writeFileSync(secret, "the host's\n");
    const steal = ["sh", "-c", `pwd; cat ../../../../../../../../..${secret}`];
    const through = Array.from({ length: 14 }, (_, n) => [`/proc/self/fd/${n}`, `/proc/1/fd/${n}/..`]).flat();
    const tries = through.flatMap((path) => [
      ["exec", "-w", path, "prey", ...steal],
      ...(path.startsWith("/proc/self") ? [["run", "--rm", "-w", path, "attack", ...steal]] : []),
    ]);
    for (const result of await Promise.all(tries.map((args) => cli.run(args)))) {
      assert.notEqual(result.code, 0);
      assert.doesNotMatch(result.stdout, /the host's/);
    }
    const image = await cli.fails("run", "--rm", "-w", "/proc/self/cwd/../../nowhere", "attack", "true");
    assert.ok(image.code > 0);
  });

  it("is not a mask that hides something else (CVE-2025-31133)", async () => {
    assert.equal(await cli.ok("run", "--rm", "attack", "/attack", "masks", ...HIDDEN), "");
    assert.equal(await cli.ok("exec", "prey", "/attack", "masks", ...HIDDEN), "");
    // A /dev of the attacker's: its null is a link to what the runtime would then mount over the masked paths.
    await cli.ok("volume", "create", "dev");
    const prepare = (script: string) => cli.ok("run", "--rm", "-v", "dev:/d", "attack", "sh", "-c", script);
    const victim = ["-l", "attack", "-v", "dev:/dev", "attack"];
    await prepare("busybox ln -s /proc/sys/kernel/domainname /d/null");
    const still = await cli.fails("run", "--rm", ...victim, "/attack", "masks", ...HIDDEN);
    assert.match(still.stderr, /\/dev\/null/);
    // And one that changes while it is looked at.
    await prepare(
      "rm /d/null; busybox mknod -m 666 /d/null c 1 3; busybox ln -s /proc/sys/kernel/domainname /d/other",
    );
    await cli.ok(
      "run",
      "-d",
      "-l",
      "attack",
      "-v",
      "dev:/d",
      "attack",
      "/attack",
      "swap",
      "/d/null",
      "/d/other",
    );
    let made = 0;
    for (let round = 0; round < 4; round++) {
      const runs = Array.from({ length: 3 }, () =>
        cli.run(["run", "--rm", ...victim, "/attack", "masks", ...HIDDEN]),
      );
      for (const { code, stdout, stderr } of await Promise.all(runs)) {
        assert.equal(stdout, "");
        if (code === 0) made++;
        else assert.match(stderr, /\/dev\/null/);
      }
    }
    console.log(`      ${made} of 12 were made while the null device was exchanged`);
  });

  it("is not a console that is a link (CVE-2025-52565)", async () => {
    await cli.ok("volume", "create", "console");
    const prepare = [
      "rm -f /d/null /d/console; busybox mknod -m 666 /d/null c 1 3; mkdir /d/pts",
      "busybox ln -s /proc/sys/kernel/domainname /d/console",
    ].join("; ");
    await cli.ok("run", "--rm", "-v", "console:/d", "attack", "sh", "-c", prepare);
    const brought = ["-v", "console:/dev", "-v", "/dev/pts:/dev/pts"];
    const result = await cli.fails("run", "--rm", "-t", ...brought, "attack", "cat", "/proc/self/mountinfo");
    assert.match(result.stderr, /mount the terminal to \/dev\/console/);
    // Without an attack: the terminal stands at /dev/console and nowhere else.
    const usual = await cli.ok("run", "--rm", "-t", "attack", "cat", "/proc/self/mountinfo");
    const terminals = usual.split("\n").filter((line) => line.includes(" - devpts "));
    assert.deepEqual(
      terminals.map((line) => line.split(" ")[4]),
      ["/dev/pts", "/dev/console"],
    );
  });

  it("is not a mount over /proc, by its name or by a link (CVE-2019-19921, CVE-2025-52881)", async () => {
    const refused = /cannot be mounted because it is inside \/proc/;
    for (const target of ["/proc", "/proc/self", "/proc/self/attr", "/proc/sys/net", "/proc/1"]) {
      for (const mount of [
        ["-v", `own:${target}`],
        ["-v", `${dir}:${target}`],
        ["--tmpfs", target],
      ])
        assert.match((await cli.fails("run", "--rm", ...mount, "attack", "true")).stderr, refused, target);
    }
    // What only tells of the machine may be told otherwise, as LXCFS does.
    writeFileSync(join(dir, "uptime"), "7.0 7.0\n");
    const told = ["-v", `${join(dir, "uptime")}:/proc/uptime:ro`, "attack", "cat", "/proc/uptime"];
    assert.equal(await cli.ok("run", "--rm", ...told), "7.0 7.0");
    // A place in a shared volume that turns into a link to /proc while the mount is made.
    const prepare = "mkdir /v/place; busybox ln -s /proc/sys/net/ipv4 /v/link";
    await cli.ok("run", "--rm", "-v", "shared:/v", "attack", "sh", "-c", prepare);
    await cli.ok(
      "run",
      "-d",
      "-l",
      "attack",
      "-v",
      "shared:/v",
      "attack",
      "/attack",
      "swap",
      "/v/place",
      "/v/link",
    );
    const victim = [
      "-v",
      "shared:/v",
      "-v",
      "redirect:/v/place",
      "--sysctl",
      "net.ipv4.ip_forward=1",
      "attack",
    ];
    for (let round = 0; round < 4; round++) {
      const runs = Array.from({ length: 3 }, () =>
        cli.run([
          "run",
          "--rm",
          ...victim,
          "sh",
          "-c",
          "grep ' /proc/sys/' /proc/self/mountinfo; cat /proc/sys/net/ipv4/ip_forward",
        ]),
      );
      for (const { code, stdout, stderr } of await Promise.all(runs)) {
        if (code === 0) assert.equal(stdout, "1\n");
        else
          assert.match(
            stderr,
            /inside \/proc|prepare the mount point|no such file|file exists|not a directory/i,
          );
      }
    }
    assert.equal(await cli.ok("run", "--rm", "-v", "redirect:/r", "attack", "ls", "/r"), "");
  });

  it("is a /dev of the host's for those who ask for it, and it works", async () => {
    const seen = await cli.ok(
      "run",
      "--rm",
      "-t",
      "--privileged",
      "-v",
      "/dev:/dev",
      "attack",
      "ls",
      "/dev/null",
      "/dev/console",
    );
    assert.match(seen, /\/dev\/console\s+\/dev\/null/);
  });

  it("is not another process's root", async () => {
    const secret = join(dir, "secret");
    writeFileSync(secret, "the host's\n");
    const result = await cli.fails(
      "exec",
      "prey",
      "cat",
      `/proc/1/root${secret}`,
      `/proc/self/root${secret}`,
    );
    assert.doesNotMatch(result.stdout, /the host's/);
    const spied = ["run", "--rm", "--pid", "host", "attack", "cat", `/proc/1/root${secret}`];
    assert.doesNotMatch((await cli.fails(...spied)).stdout, /the host's/);
  });
});
