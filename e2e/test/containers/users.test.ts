import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeCgroups } from "../../../tools/src/lab/cgroups.ts";
import { at, type Cli, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { busyboxImage, loadEverywhere } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "creel-users-"));
const cgroup = `creel-users-${process.pid}`;

/** Users and groups that a container is given. */
const GIVEN: string[][] = [
  [],
  ["--user", "app"],
  ["--user", "1000"],
  ["--user", "app:more"],
  ["--user", "1000:2000"],
  ["--user", "app:7"],
  ["--user", "7"],
  ["--user", "7:more"],
  ["--user", "0:0", "--group-add", "more"],
  ["--user", "app", "--group-add", "77", "--group-add", "root"],
  ["--user", "7:8", "--group-add", "more", "--group-add", "2000"],
  ["--user", "nobody"],
  ["--user", "app:none"],
  ["--group-add", "none"],
  ["--user", "99999999999"],
];

describe("users and groups are those that dockerd gives", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  const socket = join(dir, "docker.sock");
  let daemon: ChildProcess;
  let theirs: Cli;

  before(async () => {
    const image = await busyboxImage();
    const archive = join(dir, "busybox.tar");
    writeFileSync(archive, image);
    const log = openSync(join(dir, "log"), "w");
    const places = [
      "--data-root",
      join(dir, "data"),
      "--exec-root",
      join(dir, "run"),
      "--pidfile",
      join(dir, "pid"),
    ];
    const plain = [
      "--bridge",
      "none",
      "--iptables=false",
      "--storage-driver",
      "vfs",
      "--cgroup-parent",
      `/${cgroup}`,
    ];
    daemon = spawn("dockerd", [...places, "--host", `unix://${socket}`, ...plain], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    theirs = at("docker", socket, {});
    await Promise.all([
      loadEverywhere(fixture.lab, [image]),
      until("dockerd answers", async () => (await theirs.run(["version"])).code === 0, 60_000).catch(
        (error) => {
          throw new Error(`${error.message}\n${readFileSync(join(dir, "log"), "utf8").slice(-2000)}`);
        },
      ),
    ]);
    await theirs.ok("load", "-i", archive);
  });
  after(async () => {
    if (daemon?.exitCode === null) {
      const ended = new Promise((resolve) => daemon.once("exit", resolve));
      daemon.kill("SIGTERM");
      await ended;
    }
    removeCgroups(cgroup);
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  });

  for (const given of GIVEN) {
    it(given.join(" ") || "none", async () => {
      const look = async (cli: Cli) => {
        const command = ["sh", "-c", "grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo $HOME"];
        const { code, stdout, stderr } = await cli.run([
          "run",
          "--rm",
          "--network",
          "none",
          ...given,
          "busybox",
          ...command,
        ]);
        const said = /[Uu]nable to find (?:user|group) [^:.]+|uids and gids must be in range[^.]*/.exec(
          stderr,
        )?.[0];
        return { code, stdout, said: said?.toLowerCase() };
      };
      const [own, dockers] = await Promise.all([look(docker(fixture.lab)), look(theirs)]);
      assert.deepEqual(own, dockers);
    });
  }
});
