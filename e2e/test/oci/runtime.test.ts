import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { busyboxBundle, type OciSpec, ociRuntime } from "../../src/bundle.ts";
import { Terminal } from "../../src/terminal.ts";
import { until } from "../../src/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "creel-oci-"));
const root = join(dir, "root");
const bundles: string[] = [];

function call(...args: string[]): SpawnSyncReturns<string> {
  return spawnSync(ociRuntime, ["--root", root, ...args], { encoding: "utf8", timeout: 30_000 });
}

function ok(...args: string[]): string {
  const { status, stdout, stderr } = call(...args);
  assert.equal(status, 0, `${args.join(" ")}: ${stderr}`);
  return stdout.trimEnd();
}

function fails(...args: string[]): string {
  const { status, stderr } = call(...args);
  // An exec that could not begin is not to be taken for one that ended.
  assert.equal(status, args[0] === "exec" ? 255 : 1, `${args.join(" ")} ended with ${status}`);
  return stderr;
}

const status = (id: string): string => JSON.parse(ok("state", id)).status;

function bundle(args: string[], change?: (spec: OciSpec) => void): string {
  const made = busyboxBundle(args, change);
  bundles.push(made);
  return made;
}

function create(id: string, made: string, ...more: string[]): void {
  // The container keeps its streams: they must not be this call's pipes.
  const { status, error } = spawnSync(ociRuntime, ["--root", root, "create", "-b", made, ...more, id], {
    stdio: "ignore",
    timeout: 30_000,
  });
  assert.equal(status, 0, `create ${id}: ${error}`);
}

/** Cgroups, state and mounts of containers that are gone. */
function leftovers(ids: string[]): string[] {
  const cgroups = readdirSync("/sys/fs/cgroup").flatMap((hierarchy) =>
    ids.map((id) => join("/sys/fs/cgroup", hierarchy, id)).filter(existsSync),
  );
  const state = existsSync(root) ? readdirSync(root).filter((name) => !name.startsWith(".")) : [];
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => bundles.some((made) => line.includes(made)));
  return [...cgroups, ...state, ...mounts];
}

describe("the OCI runtime command", function () {
  this.timeout(180_000);
  afterEach(() => {
    for (const id of existsSync(root) ? readdirSync(root) : [])
      if (!id.startsWith(".")) call("delete", "-f", id);
    for (const made of bundles.splice(0)) rmSync(made, { recursive: true, force: true });
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it("takes a container through its life", async () => {
    const made = bundle(["sleep", "600"], (spec) => {
      spec.linux.cgroupsPath = "/creel-e2e-life";
    });
    const pidFile = join(dir, "pid");
    create("life", made, "--pid-file", pidFile);
    const state = JSON.parse(ok("state", "life"));
    assert.equal(state.status, "created");
    assert.equal(state.bundle, made);
    assert.equal(state.pid, Number(readFileSync(pidFile, "utf8")));
    ok("start", "life");
    assert.equal(status("life"), "running");
    assert.match(fails("start", "life"), /running state/);
    assert.match(ok("list"), /^ID +PID +STATUS[\s\S]*life +\d+ +running/);
    assert.equal(ok("list", "-q"), "life");
    assert.equal(
      ok("exec", "-e", "WHO=me", "--cwd", "/bin", "life", "sh", "-c", "echo $WHO $PWD; cat /proc/1/comm"),
      "me /bin\nsleep",
    );
    assert.equal(call("exec", "life", "sh", "-c", "exit 9").status, 9);
    assert.match(ok("exec", "-u", "1000:1000", "life", "id"), /uid=1000 gid=1000/);
    assert.match(ok("ps", "life"), /sleep 600/);
    assert.deepEqual(JSON.parse(ok("ps", "-f", "json", "life")), [state.pid]);
    ok("update", "--pids-limit", "20", "life");
    const stats = JSON.parse(ok("events", "--stats", "life"));
    assert.equal(stats.data.pids.limit, 20);
    assert.equal(stats.data.pids.current, 1);
    ok("pause", "life");
    assert.equal(status("life"), "paused");
    assert.match(fails("delete", "life"), /not stopped: paused/);
    assert.match(fails("exec", "life", "true"), /paused/);
    ok("resume", "life");
    assert.match(fails("delete", "life"), /not stopped: running/);
    ok("kill", "life", "KILL");
    await until("the container has stopped", async () => status("life") === "stopped");
    assert.match(fails("kill", "life", "TERM"), /not running/);
    ok("delete", "life");
    assert.match(fails("state", "life"), /does not exist/);
    assert.deepEqual(leftovers(["creel-e2e-life"]), []);
  });

  it("runs a container to its end and gives its exit status", () => {
    const made = bundle(["sh", "-c", "echo out; echo err >&2; hostname; exit 7"]);
    const { status, stdout, stderr } = call("run", "-b", made, "short");
    assert.deepEqual([status, stdout, stderr], [7, "out\nbox\n", "err\n"]);
    const killed = bundle(["sh", "-c", "kill -9 $$"], (spec) => {
      spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== "pid");
    });
    assert.equal(call("run", "-b", killed, "killed").status, 137);
    assert.deepEqual(leftovers(["short", "killed"]), []);
  });

  it("runs hooks at their points, each with the container's state", () => {
    const script = join(dir, "hook.sh");
    writeFileSync(script, `#!/bin/sh\necho "$1 $(cat)" >> ${dir}/hooks.log\n`);
    chmodSync(script, 0o755);
    const hook = (name: string) => [{ path: script, args: ["hook", name] }];
    const made = bundle(["sh", "-c", "echo running > /log/command"], (spec) => {
      mkdirSync(join(dir, "log"), { recursive: true });
      spec.root.readonly = false;
      spec.mounts.push({
        destination: "/log",
        type: "bind",
        source: join(dir, "log"),
        options: ["bind", "rw"],
      });
      spec.hooks = Object.fromEntries(
        ["prestart", "createRuntime", "createContainer", "poststart", "poststop"].map((name) => [
          name,
          hook(name),
        ]),
      );
      spec.hooks.startContainer = [{ path: "/bin/sh", args: ["sh", "-c", "cat > /log/startContainer"] }];
    });
    assert.equal(call("run", "-b", made, "hooked").status, 0);
    const lines = readFileSync(join(dir, "hooks.log"), "utf8").trim().split("\n");
    const states = lines.map((line) => ({
      point: line.split(" ")[0],
      ...JSON.parse(line.slice(line.indexOf("{"))),
    }));
    assert.deepEqual(
      states.map(({ point, status }) => `${point} ${status}`),
      [
        "prestart creating",
        "createRuntime creating",
        "createContainer creating",
        "poststart running",
        "poststop stopped",
      ],
    );
    for (const state of states) assert.deepEqual([state.id, state.bundle], ["hooked", made]);
    const start = JSON.parse(readFileSync(join(dir, "log/startContainer"), "utf8"));
    assert.deepEqual([start.status, start.pid], ["created", states[0]!.pid]);
    assert.ok(existsSync(join(dir, "log/command")));

    const failing = bundle(["true"], (spec) => {
      spec.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo no >&2; exit 3"] }] };
    });
    assert.match(
      fails("run", "-b", failing, "refused"),
      /createRuntime hook #0 .*exit status: 3.*stderr: no/,
    );
    const slow = bundle(["true"], (spec) => {
      spec.hooks = { prestart: [{ path: "/bin/sleep", args: ["sleep", "60"], timeout: 1 }] };
    });
    assert.match(fails("run", "-b", slow, "slow"), /time-out of 1 s/);
    assert.deepEqual(leftovers(["hooked", "refused", "slow"]), []);
  });

  it("gives a terminal to whoever runs it in one", async () => {
    const made = bundle(["sh"], (spec) => {
      spec.process.terminal = true;
      spec.process.env = ["PATH=/bin", "PS1=inside>"];
    });
    const terminal = new Terminal(90, {});
    try {
      terminal.type(`${ociRuntime} --root ${root} run -b ${made} tty`);
      await terminal.shows(/inside>/);
      terminal.type("tty; stty size");
      await terminal.shows(/\/dev\/(console|pts\/0)\n40 90/);
      terminal.type("sh -c 'echo sleeps; exec sleep 100'");
      await terminal.shows(/^sleeps$/m);
      terminal.press("C-c");
      terminal.type("exit 5");
      await terminal.shows(/ready>/);
      assert.match((await terminal.run("stty -a | grep -o ' icanon'; true")).output, /icanon/);
    } finally {
      terminal.close();
    }
    assert.deepEqual(leftovers(["tty"]), []);
  });

  it("says what is wrong, and leaves nothing", () => {
    const texts: [string, string, RegExp][] = [
      ["no bundle", "/nonexistent", /bundle \/nonexistent: no such file/],
      ["no config", dir, /config\.json: no such file/],
      ["not JSON", withConfig("{"), /config\.json: invalid spec: EOF/],
      [
        "another version",
        bundle(["true"], (spec) => (spec.ociVersion = "2.0.0")),
        /unsupported spec version 2\.0\.0/,
      ],
      [
        "no such root",
        bundle(["true"], (spec) => (spec.root.path = "nowhere")),
        /root filesystem .*nowhere: no such file/,
      ],
      ["no command", bundle([]), /process\.args is empty/],
      [
        "missing command",
        bundle(["/bin/nothing"]),
        /exec: "\/bin\/nothing": stat \/bin\/nothing: no such file or directory/,
      ],
      ["not on the path", bundle(["nothing"]), /executable file not found in \$PATH/],
      ["a directory", bundle(["/bin"]), /exec: "\/bin": is a directory/],
      ["not executable", notExecutable(), /exec: "\/plain": permission denied/],
      [
        "no such source",
        bundle(["true"], (spec) =>
          spec.mounts.push({ destination: "/data", type: "bind", source: "/nonexistent", options: ["bind"] }),
        ),
        /mount \/nonexistent to \/data: no such file/,
      ],
      [
        "a bad limit",
        bundle(["true"], (spec) => (spec.linux.resources = { memory: { limit: 4096 } })),
        /memory/,
      ],
    ];
    const ids = texts.map((_, index) => `bad-${index}`);
    for (const [index, [what, made, text]] of texts.entries())
      assert.match(fails("run", "-b", made, ids[index]!), text, what);
    assert.deepEqual(leftovers(ids), []);

    const made = bundle(["sleep", "60"]);
    create("twice", made);
    assert.match(fails("create", "-b", made, "twice"), /container with id exists: twice/);
    assert.match(fails("exec", "twice"), /a command is missing/);
    ok("delete", "-f", "twice");
    ok("delete", "-f", "twice");
    assert.match(fails("create", "-b", made, "../up"), /invalid container id/);
    assert.match(fails("checkpoint", "twice"), /CRIU/);
    assert.match(fails("kill", "twice", "NOSIG"), /unknown signal/);
    const log = join(dir, "log.json");
    spawnSync(ociRuntime, ["--root", root, "--log", log, "--log-format", "json", "state", "nobody"]);
    const entry = JSON.parse(readFileSync(log, "utf8"));
    assert.deepEqual([entry.level, entry.msg], ["error", "container does not exist: nobody"]);
  });

  it("asks systemd for cgroups only where it runs", () => {
    const made = bundle(["true"], (spec) => (spec.linux.cgroupsPath = "system.slice:creel:asked"));
    const run = [ociRuntime, "--root", root, "--systemd-cgroup", "run", "-b", made, "asked"];
    const without = "mount -t tmpfs none /run";
    const said: [string, RegExp][] = [
      [
        without,
        /^creel-runtime: systemd is not running on this host: its cgroup manager cannot be used \(leave out --systemd-cgroup\)$/,
      ],
      [
        `${without}; mkdir -p /run/systemd/system`,
        /^creel-runtime: systemd: connect to \/run\/systemd\/private: no such file or directory/,
      ],
    ];
    for (const [machine, text] of said) {
      const script = `set -e; ${machine}; exec "$@"`;
      const { status, stderr } = spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", ...run], {
        encoding: "utf8",
        timeout: 30_000,
      });
      assert.equal(status, 1);
      assert.match(stderr.trimEnd(), text);
      assert.deepEqual(leftovers(["system.slice/creel-asked.scope"]), []);
    }
  });

  it("writes a spec to begin with, and says what it knows", () => {
    const made = bundle(["true"]);
    rmSync(join(made, "config.json"));
    ok("spec", "-b", made);
    assert.match(fails("spec", "-b", made), /exists/);
    const path = join(made, "config.json");
    const spec = JSON.parse(readFileSync(path, "utf8"));
    spec.process.terminal = false;
    spec.process.args = ["echo", "from its own spec"];
    spec.process.env = ["PATH=/bin"];
    writeFileSync(path, JSON.stringify(spec));
    assert.equal(call("run", "-b", made, "own").stdout, "from its own spec\n");
    const features = JSON.parse(ok("features"));
    assert.ok(features.linux.namespaces.includes("user"));
    assert.ok(features.linux.seccomp.actions.includes("SCMP_ACT_ERRNO"));
    assert.equal(features.linux.seccomp.enabled, true);
  });
});

function withConfig(text: string): string {
  const made = bundle(["true"]);
  writeFileSync(join(made, "config.json"), text);
  return made;
}

function notExecutable(): string {
  const made = bundle(["/plain"]);
  writeFileSync(join(made, "rootfs/plain"), "no program");
  return made;
}
