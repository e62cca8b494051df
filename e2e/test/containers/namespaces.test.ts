import assert from "node:assert/strict";
import { chownSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { strays } from "../../src/host-leaks.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const FIRST = 100_000;
const configFile = join(tmpdir(), `creel-namespaces-${process.pid}.json`);

describe("a container's namespaces", function () {
  this.timeout(180_000);
  writeFileSync(configFile, "{}");
  const fixture = useLab({ nodes: 1, managers: 1, join: false, flags: ["--config-file", configFile] });
  let cli: Cli;
  const run = (...args: string[]) => cli.ok("run", "--rm", ...args);
  const field = (name: string, format: string) => cli.ok("inspect", "-f", `{{${format}}}`, name);
  const inside = (...command: string[]) => {
    const { code, stdout, stderr } = fixture.lab.exec("node1", command);
    assert.equal(code, 0, `${command.join(" ")}: ${stderr}`);
    return stdout;
  };

  after(() => rmSync(configFile, { force: true }));
  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
    const shares = ["--ipc", "shareable", "--shm-size", "1m", "--restart", "always"];
    await cli.ok("run", "-d", "--name", "giver", ...shares, "busybox", "sleep", "1000");
    const joins = ["--pid", "container:giver", "--ipc", "container:giver", "--network", "container:giver"];
    await cli.ok("run", "-d", "--name", "taker", ...joins, "--restart", "always", "busybox", "sleep", "2000");
  });

  const kinds = async (name: string) => {
    const pid = await field(name, ".State.Pid");
    return inside(
      "readlink",
      ...["pid", "ipc", "net", "uts", "mnt"].map((kind) => `/proc/${pid}/ns/${kind}`),
    ).split("\n");
  };

  async function joined(): Promise<void> {
    const [giver, taker] = [await kinds("giver"), await kinds("taker")];
    assert.deepEqual(taker.slice(0, 3), giver.slice(0, 3));
    assert.notEqual(taker[3], giver[3]);
    await cli.ok("exec", "taker", "sh", "-c", "echo said > /dev/shm/word");
    assert.equal(await cli.ok("exec", "giver", "cat", "/dev/shm/word"), "said");
    assert.match(await cli.ok("exec", "taker", "ps"), /sleep 1000[\s\S]*sleep 2000/);
  }

  it("are another's", joined);

  it("are the host's", async () => {
    const script =
      "for kind in pid ipc net uts cgroup; do busybox readlink /proc/self/ns/$kind; done; ls -d /dev/shm";
    const modes = [
      "--pid",
      "host",
      "--ipc",
      "host",
      "--network",
      "host",
      "--uts",
      "host",
      "--cgroupns",
      "host",
    ];
    const host = inside("sh", "-c", script.replaceAll("busybox ", ""));
    assert.equal(await run(...modes, "busybox", "sh", "-c", script), host.trim());
  });

  it("are shared as far as the giver shares", async () => {
    assert.equal(await run("--ipc", "none", "busybox", "sh", "-c", "ls -d /dev/shm || true"), "");
    const held = "dd if=/dev/zero of=/dev/shm/f bs=1M count=2 2>&1; rm -f /dev/shm/f";
    assert.match(await run("--ipc", "container:giver", "busybox", "sh", "-c", held), /No space left/);
    // who joins what was joined has it from the one that gave it
    const chain = ["--ipc", "container:taker", "busybox", "sh", "-c"];
    await cli.ok("exec", "giver", "sh", "-c", "echo shared > /dev/shm/chain");
    assert.equal(await run(...chain, "cat /dev/shm/chain; rm /dev/shm/chain"), "shared");
    await cli.ok("run", "-d", "--name", "closed", "busybox", "sleep", "1000");
    const own = ["--ipc", "shareable", "--tmpfs", "/dev/shm:size=2m"];
    await cli.ok("run", "-d", "--name", "own", ...own, "busybox", "sleep", "1000");
    await cli.ok("run", "-d", "--name", "without", "--ipc", "none", "busybox", "sleep", "1000");
    for (const name of ["closed", "own", "without"]) {
      const { code, stderr } = await cli.fails(
        "run",
        "--rm",
        "--ipc",
        `container:${name}`,
        "busybox",
        "true",
      );
      assert.equal(code, 125);
      assert.ok(
        stderr.includes(
          `failed to join IPC namespace: container ${name}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
        ),
        stderr,
      );
    }
    assert.match(
      await cli.ok("exec", "own", "busybox", "df", "-h", "/dev/shm"),
      /2\.0M/,
      "what it mounts itself stays",
    );
    await cli.ok("rm", "-f", "closed", "own", "without");
    await cli.ok("create", "--name", "late", "--pid", "container:giver", "busybox", "true");
    await cli.ok("stop", "-t", "0", "giver");
    assert.match(
      (await cli.fails("start", "late")).stderr,
      /failed to join PID namespace: container \w+ is not running/,
    );
    await cli.ok("start", "giver");
    await cli.ok("rm", "late");
  });

  it("are shared as they were when the taker began, whatever the giver does", async () => {
    await cli.ok("run", "-d", "--name", "gives", "--ipc", "shareable", "busybox", "sleep", "1000");
    const takes = ["--ipc", "container:gives", "busybox", "sleep", "1000"];
    await cli.ok("run", "-d", "--name", "takes", ...takes);
    const say = (name: string, word: string) => cli.ok("exec", name, "sh", "-c", `echo ${word} > /dev/shm/w`);
    const said = (name: string) => cli.ok("exec", name, "sh", "-c", "cat /dev/shm/w || true");
    await say("gives", "first");
    await cli.ok("pause", "gives");
    assert.equal(await run("--ipc", "container:gives", "busybox", "cat", "/dev/shm/w"), "first");
    await cli.ok("unpause", "gives");
    await cli.ok("restart", "-t", "0", "gives");
    assert.deepEqual([await said("takes"), await said("gives")], ["first", ""]);
    await say("takes", "kept");
    await say("gives", "second");
    assert.deepEqual([await said("takes"), await said("gives")], ["kept", "second"]);
    await cli.ok("restart", "-t", "0", "takes");
    assert.equal(await said("takes"), "second");
    await cli.ok("rm", "-f", "gives");
    await say("takes", "alone");
    assert.equal(await said("takes"), "alone");
    await cli.ok("rm", "-f", "takes");
    await until("nothing is left", async () => (await strays(fixture.lab, "node1")).length === 0);
  });

  it("are joined again after the host was lost: the giver is started first", async () => {
    await cli.ok("restart", "-t", "0", "taker");
    await fixture.lab.kill("node1");
    await fixture.lab.restart("node1");
    await until("both run", async () => (await cli.ok("ps", "-q")).split("\n").length === 2);
    await joined();
    await cli.ok("rm", "-f", "giver", "taker");
  });

  describe("of users", () => {
    before(async () => {
      const ids = join(fixture.lab.dir, "ids");
      writeFileSync(ids, `tester:${FIRST}:65536\n`);
      for (const file of ["/etc/subuid", "/etc/subgid"]) inside("mount", "--bind", ids, file);
      writeFileSync(configFile, JSON.stringify({ "userns-remap": "tester" }));
      for (const file of [
        join(fixture.lab.dir, "node1/creeld.pid"),
        join(fixture.lab.execRoot("node1"), "engine.pid"),
      ])
        inside("kill", readFileSync(file, "utf8").trim());
      await until("its engine has them", async () =>
        (await cli.run(["info", "-f", "{{.SecurityOptions}}"])).stdout.includes("name=userns"),
      );
      const script = "echo 1 > /data/f; chown app:more /data/f; echo 2 > /own; chown app /own; sleep 1000";
      await cli.ok(
        "run",
        "-d",
        "--name",
        "mapped",
        "--ipc",
        "shareable",
        "-v",
        "kept:/data",
        "--cap-add",
        "NET_ADMIN",
        "busybox",
        "sh",
        "-c",
        script,
      );
      await until(
        "it wrote",
        async () => (await cli.run(["exec", "mapped", "test", "-e", "/own"])).code === 0,
      );
    });

    it("are its own, root too", async () => {
      const pid = await field("mapped", ".State.Pid");
      assert.match(inside("grep", "^Uid:", `/proc/${pid}/status`), new RegExp(`\\s${FIRST}\\s`));
      assert.match(
        await cli.ok("exec", "mapped", "cat", "/proc/self/uid_map"),
        new RegExp(`^\\s+0\\s+${FIRST}\\s+65536$`),
      );
      assert.equal(await cli.ok("exec", "-u", "app", "mapped", "id", "-u"), "1000");
      assert.equal(await run("-t", "-u", "app", "busybox", "stat", "-c", "%u", "/dev/console"), "1000");
      assert.equal(await run("--ulimit", "nofile=500:15000", "busybox", "sh", "-c", "ulimit -Hn"), "15000");
    });

    it("own the image's files, volumes and what they write; on disk they have their plain numbers", async () => {
      const look = "stat -c %u:%g /bin/busybox /own /data/f /etc/hosts /dev/null /tmp";
      const owners = "0:0\n1000:0\n1000:2000\n0:0\n0:0\n0:0";
      assert.equal(await cli.ok("exec", "mapped", "sh", "-c", look), owners);
      const { uid, gid } = statSync(join(fixture.lab.dir, "node1/data/volumes/kept/_data/f"));
      assert.deepEqual([uid, gid], [1000, 2000]);
      assert.equal(
        await run("--userns", "host", "-v", "kept:/data", "busybox", "stat", "-c", "%u:%g", "/data/f"),
        "1000:2000",
      );
      const tmpfs = ["--tmpfs", "/t:uid=1000,gid=2000"];
      assert.equal(await run(...tmpfs, "busybox", "stat", "-c", "%u:%g", "/t"), "1000:2000");
    });

    it("keep to a network and a shared memory of their own", async () => {
      const change = "ip link set lo mtu 9000 && ip link show lo | grep -c 'mtu 9000'";
      assert.equal(await cli.ok("exec", "mapped", "sh", "-c", change), "1");
      const joins = [
        "--network",
        "container:mapped",
        "--ipc",
        "container:mapped",
        "--pid",
        "container:mapped",
      ];
      const seen = "ip link show lo | grep -c 'mtu 9000'; stat -c %u /dev/shm; ps | grep -c '[s]leep 1000'";
      assert.match(await run(...joins, "busybox", "sh", "-c", seen), /^1\n0\n[12]$/);
    });

    it("are the same in copies, archives and images", async () => {
      const dir = join(fixture.lab.dir, "copies");
      mkdirSync(dir);
      const { stdout } = await cli.run(["cp", "mapped:/own", "-"]);
      // the owner in the header of the archive's first file
      assert.equal(Number.parseInt(stdout.slice(108, 115), 8), 1000);
      writeFileSync(join(dir, "own"), "2");
      chownSync(join(dir, "own"), 1000, 0);
      await cli.ok("cp", "-a", join(dir, "own"), "mapped:/again");
      assert.equal(await cli.ok("exec", "mapped", "stat", "-c", "%u:%g", "/again"), "1000:0");
      await cli.ok("commit", "mapped", "mapped:1");
      await cli.ok("export", "-o", join(dir, "all.tar"), "mapped");
      await cli.ok("import", join(dir, "all.tar"), "mapped:2");
      for (const [image, mode] of [
        ["mapped:1", ""],
        ["mapped:2", ""],
        ["mapped:1", "host"],
      ] as const)
        assert.equal(
          await run("--userns", mode, image, "busybox", "stat", "-c", "%u:%g", "/own"),
          "1000:0",
          image,
        );
    });

    it("outlive a restart, and end clean", async () => {
      await cli.ok("restart", "-t", "0", "mapped");
      assert.equal(await cli.ok("exec", "mapped", "stat", "-c", "%u", "/own"), "1000");
      await cli.ok("rm", "-f", "mapped");
    });

    it("go together with what Docker says", async () => {
      const refused: [string[], RegExp][] = [
        [["--privileged"], /privileged mode is incompatible with user namespaces/],
        [["--network", "host"], /cannot share the host's network namespace when user namespaces are enabled/],
        [["--pid", "host"], /cannot share the host PID namespace when user namespaces are enabled/],
      ];
      for (const [args, text] of refused) {
        assert.match((await cli.fails("run", "--rm", ...args, "busybox", "true")).stderr, text);
        assert.match(
          await run(...args, "--userns", "host", "busybox", "cat", "/proc/self/uid_map"),
          /^\s+0\s+0\s/,
        );
      }
    });
  });
});
