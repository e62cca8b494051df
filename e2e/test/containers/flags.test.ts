import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Cli, creel, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";
import { check, flagsOf, type Json, type Row, type Seen } from "../services/flags/row.ts";
import { ALL, OTHERS, REFUSED } from "./flags/rows.ts";

/** The client's own, or driven by other tests of this folder. */
const ELSEWHERE = ["--help", "--rm", "--use-api-socket", "--kernel-memory"];
const LOOP = "trap 'exit 9' USR1; while :; do sleep 0.1; done";

/** A disk that bfq schedules, of a file of its own. */
function loopDisk(file: string): string {
  writeFileSync(file, "");
  truncateSync(file, 1 << 20);
  const disk = execFileSync("losetup", ["--find", "--show", file], { encoding: "utf8" }).trim();
  writeFileSync(`/sys/block/${basename(disk)}/queue/scheduler`, "bfq");
  return disk;
}

describe("docker's flags of a container", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  let cli: Cli;
  let dir = "";
  let disk = "";
  let loop = "";
  const words = (args: string[]) =>
    args.map((word) => word.replace("DIR", dir).replace("DISK", disk).replace("LOOP", loop));
  const inspect = async (name: string): Promise<Json> => JSON.parse(await cli.ok("inspect", name))[0];
  const look = async (name: string): Promise<Seen> => {
    const container = await inspect(name);
    return { cli, spec: container, container, sh: (script) => cli.ok("exec", name, "sh", "-c", script) };
  };

  before(async () => {
    cli = docker(fixture.lab);
    await loadUsual(fixture.lab);
    dir = join(fixture.lab.dir, "given");
    mkdirSync(dir);
    writeFileSync(join(dir, "env"), "FROM_FILE=yes\n# no=1\n");
    writeFileSync(join(dir, "labels"), "from-file=yes\n");
    const profile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO" }],
    };
    writeFileSync(join(dir, "seccomp.json"), JSON.stringify(profile));
    disk = `/dev/${readdirSync("/sys/block").find((name) => !/^(loop|ram|zram|sr)/.test(name))}`;
    loop = loopDisk(join(dir, "loop.img"));
    mkdirSync(join(dir, "nodes/below"), { recursive: true });
    execFileSync("cp", ["-a", loop, join(dir, "nodes/disk")]);
    execFileSync("cp", ["-a", "/dev/null", join(dir, "nodes/below/null")]);
    await cli.ok("network", "create", "--subnet", "10.91.0.0/24", "mine");
    await cli.ok("run", "-d", "--name", "closed", "busybox", "sleep", "1000");
    await cli.ok("create", "--name", "idle", "busybox", "sleep", "1000");
  });

  after(() => {
    if (loop !== "") execFileSync("losetup", ["-d", loop]);
  });

  describe("run", () => {
    let seen: Seen;
    before(async () => {
      const args = ALL.flatMap(({ args }) => args);
      const id = await cli.ok("run", ...words(args), "busybox", "sh", "-c", LOOP);
      assert.equal(readFileSync(join(dir, "cid"), "utf8"), id);
      seen = await look("all");
    });
    check(ALL, () => seen);

    it("creel create takes the same and asks for the same", async () => {
      // of `run` alone, or of the client
      const rows = ALL.filter(({ flags }) => !/^--(detach|sig-proxy)/.test(flags));
      const args = words(rows.flatMap(({ args }) => args)).filter(
        (word) => !/^--(quiet|disable-content-trust)$/.test(word),
      );
      const same = (name: string) =>
        args.map(
          (word) =>
            ({ all: name, [join(dir, "cid")]: join(dir, name), "10.91.0.7": "10.91.0.8" })[word] ?? word,
        );
      const command = ["busybox", "sh", "-c", LOOP];
      await cli.ok("create", ...same("by-docker"), ...command);
      await creel(fixture.lab).ok(
        "create",
        ...same("by-creel").map((word) => (word === "10.91.0.8" ? "10.91.0.9" : word)),
        ...command,
      );
      const [one, other] = [await inspect("by-docker"), await inspect("by-creel")];
      const strip = ({ HostConfig, Config }: Json) => {
        const { ContainerIDFile: _file, ConsoleSize: _size, ...host } = HostConfig;
        const { AttachStdout: _out, AttachStderr: _err, ...config } = Config;
        host.Binds.sort();
        return { host, config };
      };
      assert.deepEqual(strip(other), strip(one));
      await cli.ok("rm", "by-docker", "by-creel");
    });

    it("--blkio-weight is changed by update", async () => {
      await cli.ok("update", "--blkio-weight", "300", "all");
      const read =
        "cat /sys/fs/cgroup/blkio/blkio.bfq.weight 2>/dev/null || cat /sys/fs/cgroup/io.bfq.weight";
      assert.match(await cli.ok("exec", "all", "sh", "-c", read), /^(default )?300$/m);
      assert.equal((await inspect("all")).HostConfig.BlkioWeight, 300);
    });
  });

  describe("run, of others", () => {
    const seen = new Map<Row, Seen>();
    for (const one of OTHERS) {
      const name = `other-${OTHERS.indexOf(one)}`;
      check([one], () => seen.get(one)!);
      before(async () => {
        const command = one.args.includes("--entrypoint") ? ["1000"] : ["sleep", "1000"];
        await cli.ok("create", "--name", name, ...one.args, "busybox", ...command);
        await cli.ok("start", name);
        seen.set(one, await look(name));
      });
    }
    after(() => cli.ok("rm", "-f", ...OTHERS.map((_, i) => `other-${i}`)));
  });

  describe("refused", () => {
    for (const [what, args, text] of REFUSED) {
      it(what, async () => {
        const result = await cli.run(["run", "--rm", ...words(args), "busybox", "true"]);
        assert.match(result.stderr, text);
        // the client itself knows what is of Windows, and takes a file that is missing for the command's
        const own = /running on windows/.test(result.stderr) && 1;
        const missing = /no such file or directory/.test(result.stderr) && 127;
        assert.equal(result.code, own || missing || 125, result.stderr);
      });
    }
    it("leaves nothing", async () => {
      const names = await cli.ok("ps", "-a", "--format", "{{.Names}}");
      assert.deepEqual(names.split("\n").sort(), ["all", "closed", "idle"]);
    });
  });

  describe("run, and what becomes of it", () => {
    it("the port of a range is the first that is free", async () => {
      const run = (name: string) =>
        cli.run(["run", "-d", "--name", name, "-p", "127.0.0.1:18080-18082:80", "busybox", "sleep", "9"]);
      for (const name of ["second", "third"]) assert.equal((await run(name)).code, 0);
      assert.equal(await cli.ok("port", "third"), "80/tcp -> 127.0.0.1:18082");
      assert.match((await run("fourth")).stderr, /18080-18082 failed: all ports are allocated/);
      await cli.ok("rm", "-f", "second", "third", "fourth");
      const udp = await cli.ok("run", "-d", "-p", "17000-17002:7000-7002/udp", "busybox", "sleep", "9");
      assert.equal((await cli.ok("port", udp)).split("\n").length, 3);
      await cli.ok("rm", "-f", udp);
    });

    it("--init hands on signals, takes orphans, and ends as its command", async () => {
      const orphans =
        "for i in 1 2 3; do (sleep 0.01 & exec true); done; sleep 0.3; ps -o stat | grep -c Z; exit 5";
      const result = await cli.run(["run", "--rm", "--init", "busybox", "sh", "-c", orphans]);
      assert.deepEqual([result.stdout.trim(), result.code], ["0", 5]);
      assert.equal((await cli.run(["run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$"])).code, 137);
      const none = await cli.run(["run", "--rm", "--init", "busybox", "nothing"]);
      assert.deepEqual(
        [none.code, none.stderr.trim()],
        [127, "creel-init: exec: nothing: executable file not found"],
      );
      // none of them is lost on its way, however early it comes: the command has not begun to take it
      const rest = fixture.lab.rest("node1");
      const body = { Image: "whoami", HostConfig: { Init: true } };
      for (let i = 0; i < 20; i++) {
        const { Id } = await rest.post<{ Id: string }>("/containers/create", body);
        await rest.post(`/containers/${Id}/start`);
        await rest.post(`/containers/${Id}/stop?t=5`);
        assert.match(String((await inspect(Id)).State.ExitCode), /^(0|143)$/);
        await cli.ok("rm", Id);
      }
    });

    it("--stop-signal ends it", async () => {
      await cli.ok("stop", "all");
      await until("its end", async () => (await inspect("all")).State.ExitCode === 9);
    });
  });

  it("no flag of docker's is left out", async () => {
    const help = await cli.ok("run", "--help");
    const known = new Set([
      ...flagsOf([...ALL, ...OTHERS]),
      ...REFUSED.flatMap(([, args]) => args),
      ...ELSEWHERE,
    ]);
    const all = [...help.matchAll(/^ {2}(?:-\w,| {3}) (--[a-z0-9-]+)/gm)].map(([, flag]) => flag!);
    assert.ok(all.length > 90);
    assert.deepEqual(
      all.filter((flag) => !known.has(flag)),
      [],
    );
    const page = readFileSync(new URL("../../../docs/containers.md", import.meta.url), "utf8");
    assert.deepEqual(
      all.filter((flag) => !page.includes(`\`${flag}\``)),
      [],
      "docs/containers.md",
    );
  });

  it("creel run knows docker's flags", async () => {
    const flags = (text: string) => new Set([...text.matchAll(/ (--[a-z0-9-]+)/g)].map(([, flag]) => flag!));
    const own = flags(await creel(fixture.lab).ok("run", "--help"));
    const elsewhere = [
      "--cpu-count",
      "--cpu-percent",
      "--io-maxbandwidth",
      "--io-maxiops",
      "--isolation",
      "--kernel-memory",
    ];
    const not = [
      ...elsewhere,
      "--link",
      "--link-local-ip",
      "--ip6",
      "--disable-content-trust",
      "--use-api-socket",
      "--quiet",
    ];
    const docker = flags((await cli.ok("run", "--help")).split("Options:")[1]!);
    assert.deepEqual(
      [...docker].filter((flag) => !own.has(flag) && !not.includes(flag)),
      [],
    );
  });
});
