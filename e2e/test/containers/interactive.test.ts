import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../../tools/src/root.ts";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { bashImage, loadEverywhere, loadUsual } from "../../src/images.ts";
import { open } from "../../src/raw.ts";
import { Terminal } from "../../src/terminal.ts";
import { until } from "../../src/wait.ts";

const MIB = 1 << 20;
/** Writes that many MiB of the letter x. */
const burst = (mebibytes: number) =>
  `dd if=/dev/zero bs=64k count=${mebibytes * 16} 2>/dev/null | tr '\\0' x`;

describe("a container used by people and pipes", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, join: false });
  let cli: Cli;
  before(async () => {
    await loadUsual(fixture.lab);
    await loadEverywhere(fixture.lab, [await bashImage()]);
    cli = docker(fixture.lab);
  });

  /** A connection to a container's streams, its answer's head read. */
  async function attach(name: string, query = "stream=1&stdin=1&stdout=1&stderr=1"): Promise<Socket> {
    const socket = await open(fixture.lab.socket("node1"));
    socket.write(
      `POST /v1.51/containers/${name}/attach?${query} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n` +
        "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n",
    );
    return socket;
  }
  const said = (socket: Socket) => {
    let text = "";
    socket.on("data", (part) => (text += part));
    return () => text;
  };

  it("gives all of its output, to the last byte, each time", async () => {
    const rounds = Array.from({ length: 20 }, (_, round) => round);
    for (const four of [0, 4, 8, 12, 16])
      await Promise.all(
        rounds.slice(four, four + 4).map(async (round) => {
          const tty = round % 4 === 3 ? ["-t"] : [];
          const { stdout } = await cli.run([
            ...["run", "--rm", ...tty, "busybox", "sh", "-c", `${burst(1)}; echo; echo END`],
          ]);
          const lines = stdout.replaceAll("\r", "").split("\n");
          assert.deepEqual([lines[0]!.length, ...lines.slice(1)], [MIB, "END", ""], `round ${round}`);
        }),
      );
  });

  it("reads standard input to its end, and writes only where it is asked to", async () => {
    const input = Buffer.alloc(3 * MIB, "0123456789\n");
    const { stdout } = await cli.run(["run", "--rm", "-i", "busybox", "cat"], { input });
    assert.equal(stdout, input.toString());
    const script = "echo out; echo err >&2";
    const only = await cli.run(["run", "--rm", "-a", "stderr", "busybox", "sh", "-c", script]);
    assert.deepEqual(only, { code: 0, stdout: "", stderr: "err\n" });
    await cli.ok("create", "--name", "never", "busybox", "true");
    assert.match((await cli.fails("attach", "never")).stderr, /cannot attach to a stopped container/);
    await cli.ok("rm", "never");
  });

  it("is given the signals of its client, unless that is told not to", async () => {
    const script = 'trap "echo caught; exit 3" TERM; echo ready; while true; do sleep 0.1; done';
    const ends = async (name: string, ...options: string[]) => {
      const words = ["run", "--name", name, ...options, "busybox", "sh", "-c", script];
      const client = spawn("docker", ["-H", `unix://${fixture.lab.socket("node1")}`, ...words]);
      let output = "";
      client.stdout.on("data", (part) => (output += part));
      await until("it is ready", async () => /ready/.test(output));
      const closed = once(client, "close") as Promise<[number | null]>;
      // a client that keeps the signals for itself takes three of them for its end
      const repeat = setInterval(() => client.kill("SIGTERM"), 100);
      client.kill("SIGTERM");
      const [code] = await closed.finally(() => clearInterval(repeat));
      return { code, output, state: await cli.ok("inspect", "-f", "{{.State.Status}}", name) };
    };
    assert.deepEqual(await ends("proxied"), { code: 3, output: "ready\ncaught\n", state: "exited" });
    const alone = await ends("alone", "--sig-proxy=false");
    assert.deepEqual([alone.output, alone.state], ["ready\n", "running"]);
    await cli.ok("rm", "-f", "proxied", "alone");
  });

  it("is shared by all who are attached, who can all type", async () => {
    await cli.ok("run", "-dit", "--name", "shared", "busybox", "sh");
    const [one, two] = [await attach("shared"), await attach("shared")];
    const [first, second] = [said(one), said(two)];
    one.write("echo from-$((1 + 1))\n");
    await until("both see the first", async () => [first, second].every((it) => /from-2/.test(it())));
    two.write("echo also-$((2 + 1))\n");
    await until("both see the second", async () => [first, second].every((it) => /also-3/.test(it())));
    one.destroy();
    two.write("echo still-$((3 + 1))\n");
    await until("the other stays", async () => /still-4/.test(second()));
    two.write("exit 5\n");
    await until("its end", async () => two.readableEnded || two.destroyed);
    assert.equal(await cli.ok("wait", "shared"), "5");
    await cli.ok("rm", "shared");
  });

  it("is not held up by one who does not read, and loses nothing for one who reads late", async () => {
    await cli.ok(
      ...["run", "-d", "--name", "busy", "busybox", "sh", "-c"],
      `until [ -e /go ]; do sleep 0.05; done; ${burst(24)}; touch /done; sleep 1000`,
    );
    const dead = await attach("busy", "stream=1&stdout=1");
    const late = await attach("busy", "stream=1&stdout=1");
    const follower = await open(fixture.lab.socket("node1"));
    follower.write("GET /v1.51/containers/busy/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: docker\r\n\r\n");
    for (const socket of [dead, late, follower]) socket.pause();
    await cli.ok("exec", "busy", "touch", "/go");
    await until("all was written", async () => (await cli.run(["exec", "busy", "ls", "/done"])).code === 0);
    dead.destroy();
    follower.destroy();
    let payload = 0;
    late.on("data", (part: Buffer) => {
      for (const byte of part) if (byte === 120) payload++;
    });
    late.resume();
    await until("the late one has all", async () => payload >= 24 * MIB);
    late.destroy();
    await cli.ok("rm", "-f", "busy");
  });

  describe("by exec", () => {
    before(() =>
      cli.ok(
        "run",
        "-d",
        "--name",
        "host",
        "--cap-drop",
        "CHOWN",
        "busybox",
        "sh",
        "-c",
        "sleep 1000 & wait",
      ),
    );
    after(() => cli.run(["rm", "-f", "host"]));

    it("takes all flags", async () => {
      const dir = mkdtempSync(join(tmpdir(), "ce-exec-"));
      try {
        writeFileSync(join(dir, "env"), "# comment\nFROM_FILE=file\n");
        const look = 'echo "$A $FROM_FILE $(busybox pwd) $(id -u):$(id -g) $(id -G)"';
        const flags = ["-e", "A=b", "--env-file", join(dir, "env"), "-w", "/tmp", "-u", "app"];
        assert.equal(
          await cli.ok("exec", ...flags, "host", "sh", "-c", look),
          "b file /tmp 1000:1000 1000 2000",
        );
      } finally {
        rmSync(dir, { recursive: true });
      }
      assert.equal((await cli.run(["exec", "-i", "host", "cat"], { input: "typed" })).stdout, "typed");
      await cli.ok("exec", "-d", "host", "touch", "/detached");
      await until("it ran", async () => (await cli.run(["exec", "host", "ls", "/detached"])).code === 0);
      const caps = async (...more: string[]) => {
        const status = await cli.ok(
          "exec",
          ...more,
          "host",
          "grep",
          "-E",
          "CapEff|Seccomp:",
          "/proc/self/status",
        );
        const [, effective, filter] = /CapEff:\s*(\w+)[\s\S]*Seccomp:\s*(\d)/.exec(status)!;
        return { effective: BigInt(`0x${effective}`), filter };
      };
      const [plain, privileged] = [await caps(), await caps("--privileged")];
      assert.equal(plain.effective & 1n, 0n, "CAP_CHOWN was dropped");
      assert.equal(privileged.effective & 1n, 1n);
      assert.deepEqual([plain.filter, privileged.filter], ["2", "2"]);
    });

    it("ends as the command ends, with 126 and 127 where there is none, and refuses where nothing runs", async () => {
      const codes = [
        [["sh", "-c", "exit 7"], 7],
        [["sh", "-c", "kill -9 $$"], 137],
        [["nothing"], 127],
        [["/etc/passwd"], 126],
        [["/etc"], 126],
      ] as const;
      for (const [words, code] of codes)
        assert.equal((await cli.run(["exec", "host", ...words])).code, code, words.join(" "));
      const user = await cli.fails("exec", "-u", "nobody-here", "host", "true");
      assert.equal(user.code, 126);
      assert.match(user.stdout + user.stderr, /unable to find user nobody-here/);
      assert.equal((await cli.fails("exec", "-w", "/not/there", "host", "true")).code, 126);
      await cli.ok("pause", "host");
      assert.match(
        (await cli.fails("exec", "host", "true")).stderr,
        /is paused, unpause the container before exec/,
      );
      assert.match((await cli.fails("attach", "host")).stderr, /cannot attach to a paused container/);
      await cli.ok("unpause", "host");
      await cli.ok("create", "--name", "idle", "busybox", "true");
      assert.match((await cli.fails("exec", "idle", "true")).stderr, /is not running/);
      await cli.ok("rm", "idle");
    });

    it("is told of by inspect, and ends with the container", async () => {
      const rest = fixture.lab.rest("node1");
      const { Id } = await rest.post<{ Id: string }>("/containers/host/exec", { Cmd: ["sleep", "1000"] });
      const look = () =>
        rest.get<{ Running: boolean; ExitCode: number | null; Pid: number }>(`/exec/${Id}/json`);
      assert.deepEqual([(await look()).Running, (await look()).ExitCode], [false, null]);
      await rest.post(`/exec/${Id}/start`, { Detach: true });
      assert.equal((await look()).Running, true);
      assert.equal(await cli.ok("inspect", "-f", "{{index .ExecIDs 0}}", "host"), Id);
      await cli.ok("kill", "host");
      await until("its end", async () => !(await look()).Running);
      assert.equal((await look()).ExitCode, 137);
    });
  });

  for (const program of ["docker", "creel"]) {
    describe(`in a terminal, by ${program}`, () => {
      let terminal: Terminal;
      before(() => {
        const socket = `unix://${fixture.lab.socket("node1")}`;
        const path = `${join(root, "bin")}:${process.env.PATH}`;
        terminal = new Terminal(90, { DOCKER_HOST: socket, CREEL_HOST: socket, PATH: path }, [
          "/bin/bash",
          "--norc",
        ]);
      });
      after(async () => {
        terminal?.close();
        await cli.run(["rm", "-f", "shell"]);
      });
      const shows = async (line: string, pattern: RegExp) => {
        terminal.type(line);
        return await terminal.shows(pattern);
      };

      it("has a shell with its jobs, signals, size and files", async () => {
        await shows(`clear; ${program} run -it --name shell -e PS1='[in]# ' bash bash --norc`, /\[in\]#$/m);
        await shows("busybox stty size", /^40 90$/m);
        terminal.resize(70, 30);
        await until("the new size", async () => {
          terminal.type("busybox stty size");
          return /^30 70$/m.test(terminal.screen());
        });
        terminal.clear();
        terminal.type("sleep 1000");
        terminal.press("C-z");
        await terminal.shows(/Stopped\s+sleep 1000/);
        await shows("bg", /sleep 1000 &/);
        terminal.type("fg");
        await terminal.shows(/^sleep 1000$/m);
        terminal.press("C-c");
        await shows("echo status=$?", /^status=130$/m);
        await shows("jobs; echo none-left", /^none-left$/m);
        await shows("cat", /\]# cat$/m);
        terminal.type("typed");
        await terminal.shows(/^typed\ntyped$/m);
        terminal.press("C-d");
        await shows("echo written > /kept; busybox tty", /^\/dev\/pts\/0$/m);
      });

      it("is left running by the detach keys, with the terminal as it was", async () => {
        terminal.press("C-p", "C-q");
        await terminal.shows(/ready>$/);
        const { output } = await terminal.run("stty -a | grep -ow -e icanon -e echo -e isig | sort | xargs");
        assert.equal(output, "echo icanon isig");
        assert.equal(await cli.ok("inspect", "-f", "{{.State.Status}}", "shell"), "running");
        terminal.type(`clear; ${program} attach --detach-keys ctrl-x,y shell`);
        await until("the shell", async () => {
          terminal.press("Enter");
          return /\[in\]#$/m.test(terminal.screen());
        });
        terminal.press("C-x", "y");
        await terminal.shows(/ready>$/);
      });

      it("survives a client that is killed, as does the terminal", async () => {
        terminal.type(`clear; ${program} exec -it shell bash --norc`);
        await until("the second shell", async () => {
          terminal.press("Enter");
          return /bash-[\d.]+#|\[in\]#/.test(terminal.screen());
        });
        terminal.killForeground();
        await terminal.shows(/Killed[\s\S]*ready>$/);
        const { output } = await terminal.run("stty -a | grep -ow -e icanon -e echo -e isig | sort | xargs");
        assert.equal(output, "echo icanon isig");
        assert.equal(await cli.ok("inspect", "-f", "{{.State.Status}}", "shell"), "running");
      });

      it("is stopped by exit, not deleted, and is started again with its files", async () => {
        terminal.type(`clear; ${program} attach shell`);
        await until("the shell", async () => {
          terminal.press("Enter");
          return /\[in\]#$/m.test(terminal.screen());
        });
        terminal.type("exit 4");
        await terminal.shows(/ready>$/);
        await shows("echo status=$?", /^status=4$/m);
        assert.equal(
          await cli.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "shell"),
          "exited 4",
        );
        await shows(`clear; ${program} start -ai shell`, /\[in\]#$/m);
        await shows("cat /kept", /^written$/m);
        terminal.press("C-d");
        await terminal.shows(/ready>$/);
        assert.match((await terminal.run("echo back")).output, /^back$/m);
        assert.equal(await cli.ok("ps", "-q"), "");
        await cli.ok("rm", "shell");
      });
    });
  }
});
