import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ociRuntime } from "../../src/bundle.ts";
import { Runtime } from "../../src/oci-runtime.ts";
import { until } from "../../src/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "creel-runc-"));
const ID = `creel-e2e-${process.pid}`;
const COMMANDS = [
  ["create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause", "resume", "update"],
  ["events", "spec", "features"],
].flat();

/** What `events` counts, as far as it is looked at here. */
interface Counters {
  cpu: object;
  cpuset: object;
  memory: { usage: { limit: number } };
  pids: { limit: number };
}

/** The long and short names of the options in a help text. */
function options(text: string): string[] {
  const rows = text.split("\n").flatMap((line) => /^ +(-{1,2}[a-z].*?)(?: {2}|$)/.exec(line)?.[1] ?? []);
  return rows.flatMap((row) => row.match(/(?<=^|[ ,])--?[a-z][a-z0-9-]*/g) ?? []);
}

/** Output without what differs from one run to the next. */
function shape(text: string): unknown {
  try {
    return keys(JSON.parse(text));
  } catch {
    return text
      .replace(/\d+/g, "N")
      .replace(/[ \t]+/g, " ")
      .replaceAll(/creel-e2e-N-\w+/g, "ID");
  }
}

function keys(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [keys(value[0])];
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, inner]) => [key, keys(inner)]),
  );
}

describe("creel-runtime beside runc", function () {
  this.timeout(180_000);
  const runc = new Runtime("runc", `${ID}-runc`, dir);
  const creel = new Runtime(ociRuntime, `${ID}-creel`, dir);
  const both = [runc, creel];

  after(() => {
    for (const runtime of both) runtime.end();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Both end alike; with `output`, what they print has the same shape. */
  function same(args: string[], output = false): void {
    const [theirs, ours] = both.map((runtime) => runtime.call(args));
    const text = `${args.join(" ")}: ${ours!.stderr}`;
    assert.equal(ours!.status, theirs!.status, text);
    if (output) assert.deepEqual(shape(ours!.stdout), shape(theirs!.stdout), text);
  }

  it("has its options", () => {
    for (const command of ["", ...COMMANDS]) {
      const args = command === "" ? ["--help"] : [command, "--help"];
      const [theirs, ours] = both.map(({ program }) =>
        options(spawnSync(program, args, { encoding: "utf8" }).stdout),
      );
      if (command === "") assert.ok(theirs!.includes("--systemd-cgroup"), "options are read");
      const missing = theirs!.filter((option) => !ours!.includes(option));
      assert.deepEqual(missing, [], `options of ${command || "the program"}`);
    }
  });

  it("ends alike before there is a container", () => {
    for (const args of [
      ["state", "ID"],
      ["delete", "ID"],
      ["delete", "-f", "ID"],
      ["start", "ID"],
      ["kill", "ID"],
      ["exec", "ID", "true"],
      ["create"],
      ["create", "-b", "/nonexistent", "ID"],
      ["create", "--no-such-option", "ID"],
      ["exec"],
      ["nonsense"],
      [],
      ["list", "-f", "xml"],
      ["--log-format", "xml", "list"],
      ["--log", "/nonexistent/log", "list"],
      ["features", "more"],
      ["kill", "ID", "TERM", "more"],
    ])
      same(args);
    same(["list"], true);
    same(["list", "-q"], true);
  });

  it("takes a container through its life alike", async () => {
    for (const runtime of both)
      assert.equal(runtime.call(["create", "-b", "BUNDLE", "ID"], "ignore").status, 0, runtime.program);
    same(["state", "ID"]);
    same(["kill", "ID", "0"]);
    same(["exec", "ID", "echo", "before its start"], true);
    same(["pause", "ID"]);
    same(["resume", "ID"]);
    same(["start", "ID"]);
    same(["start", "ID"]);
    same(["list", "-f", "json"], true);
    same(["ps", "-f", "json", "ID"], true);
    same(["ps", "ID", "-o", "pid,comm"], true);
    same(["pause", "ID"]);
    same(["pause", "ID"]);
    same(["exec", "ID", "true"]);
    same(["delete", "ID"]);
    same(["resume", "ID"]);
    same(["resume", "ID"]);
    same(["kill", "ID", "NOSUCH"]);
  });

  it("runs further processes alike", () => {
    const file = (name: string, ...args: string[]) => {
      const path = join(dir, name);
      const user = { uid: 0, gid: 0 };
      writeFileSync(path, JSON.stringify({ args, cwd: "/", user, env: ["PATH=/bin"] }));
      return path;
    };
    const process = file("process.json", "echo", "from a file");
    const few = file("few.json", "grep", "Cap", "/proc/self/status");
    const unknown = join(dir, "unknown.json");
    writeFileSync(
      unknown,
      readFileSync(few, "utf8").replace('"cwd"', '"capabilities":{"bounding":["CAP_NO_SUCH"]},"cwd"'),
    );
    const shell = ["sh", "-c", "echo $A; id; echo $PWD"];
    for (const args of [
      ["-e", "A=1", "-u", "5:6", "-g", "7", "-g", "8", "--cwd", "/bin", "ID", ...shell],
      ["ID", "sh", "-c", "exit 9"],
      ["ID", "sh", "-c", "kill -9 $$"],
      ["--cap", "CAP_NET_RAW", "ID", "grep", "Cap", "/proc/self/status"],
      ["--cap", "CAP_NO_SUCH", "ID", "true"],
      ["--no-new-privs", "ID", "grep", "NoNewPrivs", "/proc/self/status"],
      ["--process", process, "ID"],
      ["--process", process, "-e", "PATH=/nowhere", "-u", "7", "--cwd", "/nowhere", "ID"],
      ["--process", few, "ID"],
      ["--process", unknown, "ID"],
      ["--process", "/nonexistent", "ID"],
      ["-e", "A", "ID", "true"],
      ["-e", "=1", "ID", "true"],
      ["-e", "A=1", "-e", "A=2", "ID", ...shell],
      ["-e", "PATH=/nowhere", "ID", "/bin/busybox", "env"],
      ["-u", "4294967295", "ID", "id"],
      ["-g", "4294967295", "ID", "id"],
      ["-u", "", "--cwd", "", "--cgroup", "", "ID", ...shell],
      ["--process-label", "none", "ID", "true"],
      ["--console-socket", "/nonexistent", "ID", "true"],
      ["--console-socket", "/nonexistent", "-t", "-d", "ID", "true"],
      ["ID", "nothing"],
      ["ID", "/bin"],
      ["ID"],
      ["-u", "nobody", "ID", "true"],
      ["--cwd", "relative", "ID", "true"],
      ["--cgroup", "no-such", "ID", "true"],
    ])
      same(["exec", ...args], true);
    for (const runtime of both) {
      const file = join(dir, "pid");
      assert.equal(
        runtime.call(["exec", "-d", "--pid-file", file, "ID", "sleep", "300"], "ignore").status,
        0,
      );
      assert.match(readFileSync(file, "utf8"), /^\d+$/);
    }
    // A file that is open as number 3 stays so.
    for (const { program, args } of both.map((runtime) => ({
      program: runtime.program,
      args: runtime.args(["exec", "--preserve-fds", "1", "ID", "cat", "/proc/self/fd/3"]),
    }))) {
      const { stdout, stderr } = spawnSync(
        "sh",
        ["-c", `exec 3<<X\nkept\nX\nexec "$0" "$@"`, program, ...args],
        {
          encoding: "utf8",
        },
      );
      assert.equal(stdout, "kept\n", `${program}: ${stderr}`);
    }
  });

  it("begins a process in a cgroup below the container's", () => {
    const hierarchies = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .filter((line) => / cgroup2? /.test(line))
      .map((line) => line.split(" ")[1]!);
    for (const at of hierarchies) {
      const below = join(at, creel.id, "below");
      mkdirSync(below, { recursive: true });
      for (const name of ["cpuset.cpus", "cpuset.mems"].filter((name) => existsSync(join(below, name))))
        writeFileSync(join(below, name), readFileSync(join(at, creel.id, name)));
    }
    const { stdout, stderr } = creel.call(["exec", "--cgroup", "below", "ID", "cat", "/proc/self/cgroup"]);
    const paths = stdout.trim().split("\n");
    assert.ok(
      paths.length > 0 && paths.every((line) => line.endsWith(`/${creel.id}/below`)),
      stdout + stderr,
    );
    assert.equal(creel.call(["exec", "--cgroup", "../other", "ID", "true"]).status, 1);
    for (const at of hierarchies) rmdirSync(join(at, creel.id, "below"));
  });

  it("changes limits and tells of them alike", () => {
    const file = join(dir, "resources.json");
    writeFileSync(file, JSON.stringify({ memory: { limit: 48 << 20 }, pids: { limit: 40 } }));
    for (const args of [
      ["--memory", "64M", "--memory-reservation", "32m", "ID"],
      ["--cpu-share", "512", "--cpu-quota", "50000", "--cpu-period", "100000", "ID"],
      ["--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "50", "ID"],
      ["-r", file, "--pids-limit", "7", "ID"],
      ["-r", "/nonexistent", "ID"],
      ["--memory", "much", "ID"],
      ["--memory", "", "--cpu-share", "", "-r", "", "ID"],
      ["--cpu-share", "1", "ID"],
      ["--cpu-share", "300000", "ID"],
      ["--pids-limit", "0", "ID"],
      ["--cpuset-cpus", "1000", "ID"],
      ["--l3-cache-schema", "L3:0=f", "ID"],
      ["ID"],
      ["--memory", "0.046875GiB", "ID"],
    ])
      same(["update", ...args]);
    for (const [interval, status] of Object.entries({ "1m30s": 0, "1.5s": 0, "2h": 0, x: 1, "-1s": 1 }))
      for (const runtime of both)
        assert.equal(
          runtime.call(["events", "--stats", "--interval", interval, "ID"]).status,
          status,
          interval,
        );
    const [theirs, ours] = both.map(
      (runtime) => JSON.parse(runtime.call(["events", "--stats", "ID"]).stdout) as { data: Counters },
    );
    const missing = (all: object, here: object) => Object.keys(all).filter((key) => !(key in here));
    assert.deepEqual(missing(theirs!.data, ours!.data), []);
    for (const group of ["cpu", "memory", "pids"] as const)
      assert.deepEqual(missing(theirs!.data[group], ours!.data[group]), [], group);
    assert.deepEqual(
      [ours!.data.memory.usage.limit, ours!.data.pids.limit, ours!.data.cpuset],
      [48 << 20, 40, { cpus: [0], mems: [0] }],
    );
  });

  it("tells of a want of memory as it comes, and ends with the container", async () => {
    for (const runtime of both) {
      const events = spawn(runtime.program, runtime.args(["events", "--interval", "10m", "ID"]), {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        let text = "";
        events.stdout.setEncoding("utf8").on("data", (more) => (text += more));
        // It may not have begun to look when the first is killed.
        await until("the event", async () => {
          const { status } = runtime.call(["exec", "ID", "dd", "if=/dev/zero", "of=/dev/null", "bs=128M"]);
          assert.notEqual(status, 0);
          return text.includes(`{"type":"oom","id":"${runtime.id}"}`);
        });
        runtime.call(["kill", "-a", "ID", "KILL"]);
        await until("the end of the container", async () => runtime.status() === "stopped");
        // runc's go on until the container is deleted.
        if (runtime === creel) await until("the end of its events", async () => events.exitCode === 0);
      } finally {
        events.kill("SIGKILL");
      }
    }
    for (const args of [
      ["kill", "ID", "TERM"],
      ["pause", "ID"],
      ["exec", "ID", "true"],
      ["ps", "-f", "json", "ID"],
    ])
      same(args);
    same(["delete", "ID"]);
    same(["state", "ID"]);
  });

  it("writes a spec for a user namespace that runs", () => {
    rmSync(join(creel.bundle, "config.json"));
    assert.equal(creel.call(["spec", "--rootless", "-b", "BUNDLE"]).status, 0);
    const path = join(creel.bundle, "config.json");
    const spec = JSON.parse(readFileSync(path, "utf8"));
    assert.deepEqual(spec.linux.uidMappings, [{ containerID: 0, hostID: process.getuid!(), size: 1 }]);
    spec.process.terminal = false;
    spec.process.args = ["/bin/busybox", "cat", "/proc/self/uid_map"];
    writeFileSync(path, JSON.stringify(spec));
    const { stdout, stderr } = creel.call(["--rootless", "true", "run", "-b", "BUNDLE", "ID-rootless"]);
    assert.equal(stdout.trim().replace(/ +/g, " "), `0 ${process.getuid!()} 1`, stderr);
  });
});
