import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeCgroups } from "../../../tools/src/lab/cgroups.ts";
import { Rest } from "../../../tools/src/rest.ts";
import { ociRuntime } from "../../src/bundle.ts";
import { busyboxImage } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "creel-engines-"));
const at = (name: string) => join(dir, name);
const cgroup = `creel-e2e-${process.pid}`;

function call(
  program: string,
  args: string[],
  input?: string,
  env = process.env,
): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    input,
    env,
    timeout: 60_000,
  });
  return { status, out: stdout.trimEnd(), err: stderr.trimEnd() };
}

function ok(program: string, ...args: string[]): string {
  const { status, out, err } = call(program, args);
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${err}`);
  return out;
}

/** Processes of the runtime's own program that still run. */
function strays(): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(dir);
      } catch {
        return false;
      }
    });
}

describe("other engines with creel-runtime", function () {
  this.timeout(180_000);
  const archive = at("busybox.tar");

  before(async () => writeFileSync(archive, await busyboxImage()));
  after(() => {
    const mounts = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "")
      .filter((at) => at.startsWith(dir));
    for (const at of mounts.reverse()) spawnSync("umount", ["-l", at]);
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  });

  describe("dockerd", () => {
    let daemon: ChildProcess;
    const docker = (...args: string[]) => ok("docker", "-H", `unix://${at("docker.sock")}`, ...args);

    async function start(): Promise<void> {
      const log = openSync(at("dockerd.log"), "a");
      daemon = spawn(
        "dockerd",
        [
          ["--data-root", at("data"), "--exec-root", at("run"), "--pidfile", at("docker.pid")],
          ["--host", `unix://${at("docker.sock")}`, "--cgroup-parent", `/${cgroup}`],
          ["--add-runtime", `creel=${ociRuntime}`, "--default-runtime", "creel"],
          ["--bridge", "none", "--iptables=false", "--storage-driver", "vfs", "--live-restore"],
        ].flat(),
        { stdio: ["ignore", log, log] },
      );
      closeSync(log);
      const rest = new Rest(at("docker.sock"));
      await until("dockerd answers", () => rest.get("/_ping").then(() => true), 60_000).catch((error) => {
        throw new Error(`${error.message}\n${readFileSync(at("dockerd.log"), "utf8").slice(-2000)}`);
      });
    }
    async function end(): Promise<void> {
      if (daemon?.exitCode !== null) return;
      const ended = new Promise((resolve) => daemon.once("exit", resolve));
      daemon.kill("SIGTERM");
      await ended;
    }

    before(async () => {
      await start();
      docker("load", "-i", archive);
    });
    after(async () => {
      if (daemon?.exitCode === null)
        call("docker", ["-H", `unix://${at("docker.sock")}`, "rm", "-f", "lives"]);
      await end();
      removeCgroups(cgroup);
    });

    it("runs containers, and gives their output and exit status", () => {
      assert.equal(docker("info", "-f", "{{.DefaultRuntime}}"), "creel");
      assert.equal(docker("run", "--rm", "busybox", "echo", "by creel"), "by creel");
      const socket = `unix://${at("docker.sock")}`;
      assert.equal(
        call("docker", ["-H", socket, "run", "--rm", "busybox", "sh", "-c", "exit 42"]).status,
        42,
      );
      assert.equal(
        call("docker", ["-H", socket, "run", "--rm", "-i", "busybox", "cat"], "through").out,
        "through",
      );
      assert.equal(call("docker", ["-H", socket, "run", "--rm", "busybox", "nothing"]).status, 127);
      assert.equal(call("docker", ["-H", socket, "run", "--rm", "busybox", "/etc/passwd"]).status, 126);
      const status = docker(
        "run",
        "--rm",
        "busybox",
        "grep",
        "-E",
        "Seccomp:|CapEff|NoNewPrivs",
        "/proc/self/status",
      );
      assert.match(status, /CapEff:\s+00000000a80425fb/);
      assert.match(status, /Seccomp:\s+2/);
    });

    it("execs, pauses, updates, lists and stops", () => {
      docker("run", "-d", "--name", "long", "-m", "64m", "busybox", "sleep", "600");
      assert.match(docker("exec", "long", "ps"), /sleep 600/);
      assert.match(docker("exec", "-t", "long", "sh", "-c", "ls -l /proc/self/fd/0"), /pts\/0/);
      docker("pause", "long");
      assert.equal(docker("inspect", "-f", "{{.State.Status}}", "long"), "paused");
      docker("unpause", "long");
      docker("update", "-m", "32m", "--memory-swap", "32m", "long");
      const id = docker("inspect", "-f", "{{.Id}}", "long");
      const limit = `/sys/fs/cgroup/memory/${cgroup}/${id}/memory.limit_in_bytes`;
      if (existsSync(limit)) assert.equal(readFileSync(limit, "utf8").trim(), String(32 << 20));
      assert.match(docker("top", "long"), /sleep 600/);
      docker("kill", "long");
      assert.equal(docker("wait", "long"), "137");
      docker("start", "long");
      docker("stop", "-t", "0", "long");
      docker("rm", "long");
      assert.match(
        docker("run", "--rm", "-t", "busybox", "sh", "-c", "ls -l /dev/console; test -t 1 && echo tty"),
        /tty/,
      );
    });

    it("counts, tells of a want of memory, and finds its containers when it is started again", async () => {
      docker("run", "-d", "--name", "lives", "-m", "48m", "busybox", "sleep", "600");
      const stats = docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "lives");
      assert.match(stats, /\/ 48MiB 1$/);
      const socket = `unix://${at("docker.sock")}`;
      const flags = ["--name", "hungry", "-m", "24m", "--memory-swap", "24m"];
      // containerd begins to listen for a want of memory once the container runs.
      const late = ["sh", "-c", "sleep 1; exec dd if=/dev/zero of=/dev/null bs=128M"];
      assert.equal(call("docker", ["-H", socket, "run", ...flags, "busybox", ...late]).status, 137);
      assert.equal(docker("inspect", "-f", "{{.State.OOMKilled}}", "hungry"), "true");
      docker("rm", "hungry");
      const pid = docker("inspect", "-f", "{{.State.Pid}}", "lives");
      await end();
      await start();
      assert.equal(docker("inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "lives"), `${pid} running`);
      assert.equal(docker("exec", "lives", "echo", "still there"), "still there");
      docker("rm", "-f", "lives");
    });
  });

  describe("podman", () => {
    const podman = (...args: string[]) =>
      call(
        "podman",
        [
          ["--root", at("podman"), "--runroot", at("podman-run"), "--tmpdir", at("podman-tmp")],
          ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"],
          ["--runtime", ociRuntime],
          args,
        ].flat(),
        undefined,
        { ...process.env, CONTAINERS_CONF: at("containers.conf") },
      );
    const run = (...args: string[]) => podman("run", "--network", "none", ...args);

    before(() =>
      // More than the machine's own limits may allow would be asked for otherwise.
      writeFileSync(
        at("containers.conf"),
        '[containers]\ndefault_ulimits = ["nofile=1024:2048", "nproc=1024:2048"]\nlog_driver = "k8s-file"\n',
      ),
    );

    it("runs containers, execs in them, and gives their exit status", () => {
      const loaded = podman("load", "-i", archive);
      assert.equal(loaded.status, 0, loaded.err);
      const first = run("--rm", "busybox", "echo", "by creel");
      assert.deepEqual([first.status, first.out], [0, "by creel"], first.err);
      assert.equal(run("--rm", "busybox", "sh", "-c", "exit 42").status, 42);
      assert.match(run("--rm", "-t", "busybox", "sh", "-c", "test -t 0 && echo tty").out, /tty/);
      const begun = run("-d", "--name", "long", "busybox", "sleep", "600");
      assert.equal(begun.status, 0, begun.err);
      const inside = podman("exec", "long", "ps");
      assert.match(inside.out, /sleep 600/, inside.err);
      assert.equal(podman("rm", "-f", "-t", "0", "long").status, 0);
      assert.equal(podman("ps", "-aq").out, "");
    });

    it("runs two in a pod, with their logs and counters", async () => {
      const done = (...args: string[]) => {
        const { status, out, err } = podman(...args);
        assert.equal(status, 0, `${args.join(" ")}: ${err}`);
        return out;
      };
      // What holds the pod's namespaces is a container, too: of an image that is here.
      const infra = ["--infra-image", "busybox", "--infra-command", "/bin/sleep 600"];
      done("pod", "create", "--name", "pair", "--network", "none", "--share", "ipc,net,uts", ...infra);
      try {
        const inPod = ["-d", "--pod", "pair"];
        done("run", ...inPod, "--name", "one", "busybox", "sh", "-c", "hostname; sleep 600");
        done("run", ...inPod, "--name", "two", "busybox", "sleep", "600");
        await until("its log", async () => podman("logs", "one").out === "pair");
        const network = (name: string) => done("exec", name, "busybox", "readlink", "/proc/self/ns/net");
        assert.equal(network("one"), network("two"));
        assert.match(done("stats", "--no-stream", "--format", "{{.PIDS}}", "two"), /^[1-9]/);
      } finally {
        podman("pod", "rm", "-f", "-t", "0", "pair");
      }
      assert.equal(podman("ps", "-aq").out, "");
    });
  });

  it("leave nothing", async () => {
    await until("no process is left", async () => strays().length === 0);
  });
});
