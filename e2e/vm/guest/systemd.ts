import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { on } from "./cgroup.ts";
import { answering, replicas } from "./service.ts";
import { type Check, docker, inspect, ok, run, until } from "./tools.ts";

const CHECKOUT = "/opt/creel";

const pids = async (): Promise<string[]> =>
  Promise.all((await replicas()).map((name) => inspect(name, ".State.Pid")));

const property = (name: string): Promise<string> =>
  ok("systemctl", "show", "creeld", "--property", name, "--value");

const enginePid = (): number => Number(readFileSync("/run/creel/engine.pid", "utf8"));

const install: Check[] = [
  {
    name: "the machine has one version of cgroups alone, and an older kernel",
    v1: true,
    async check() {
      const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
      const kinds = mounts.map((line) => line.split(" ")[2]).filter((kind) => /^cgroup2?$/.test(kind ?? ""));
      assert.deepEqual([...new Set(kinds)], [on("cgroup2", "cgroup")]);
      assert.match(readFileSync("/proc/version", "utf8"), /^Linux version 6\.1\./);
    },
  },
  {
    name: "creeld is a service of systemd, started by its units",
    v1: true,
    async check() {
      for (const name of ["creel", "creeld"]) symlinkSync(`${CHECKOUT}/bin/${name}`, `/usr/bin/${name}`);
      symlinkSync(`${CHECKOUT}/guest/docker`, "/usr/bin/docker");
      cpSync(`${CHECKOUT}/deploy/systemd/creel.sysusers`, "/etc/sysusers.d/creel.conf");
      await ok("systemd-sysusers");
      for (const unit of ["creeld.socket", "creeld.service"])
        cpSync(`${CHECKOUT}/deploy/systemd/${unit}`, `/etc/systemd/system/${unit}`);
      await ok("systemctl", "daemon-reload");
      await ok("systemctl", "enable", "--now", "creeld.socket", "creeld.service");
      assert.equal(await docker("version", "--format", "{{.Server.APIVersion}}"), "1.51");
      assert.equal(await property("ActiveState"), "active");
    },
  },
];

const restarts: Check[] = [
  {
    name: "systemctl restart creeld leaves containers running, and they answer",
    async check() {
      const [before, engine, main] = [await pids(), enginePid(), await property("MainPID")];
      const restart = ok("systemctl", "restart", "creeld");
      await restart;
      assert.equal((await answering(4)).size > 0, true);
      assert.deepEqual(await pids(), before);
      assert.equal(enginePid(), engine);
      assert.notEqual(await property("MainPID"), main);
      await until("both answer", async () => (await answering()).size === 2);
    },
  },
  {
    name: "systemctl stop creeld leaves them running too; the socket starts it again",
    async check() {
      const before = await pids();
      await ok("systemctl", "stop", "creeld");
      assert.equal(await property("ActiveState"), "inactive");
      assert.equal((await answering()).size, 2);
      assert.deepEqual(await pids(), before);
      assert.equal(await property("ActiveState"), "active");
    },
  },
  {
    name: "creeld killed is started again by systemd",
    async check() {
      const [before, main] = [await pids(), await property("MainPID")];
      process.kill(Number(main), "SIGKILL");
      await until("another process", async () => {
        const now = await property("MainPID");
        return now !== "0" && now !== main;
      });
      assert.deepEqual(await pids(), before);
      await until("both answer", async () => (await answering()).size === 2);
    },
  },
  {
    name: "creel-engine killed is started again, and its containers go on",
    async check() {
      const [before, engine] = [await pids(), enginePid()];
      process.kill(engine, "SIGKILL");
      await until("another engine", async () => enginePid() !== engine);
      await until("the same containers", async () => {
        assert.deepEqual(await pids(), before);
        return true;
      });
      await until("both answer", async () => (await answering()).size === 2);
    },
  },
];

const end: Check[] = [
  {
    name: "nothing is left when the cluster is left",
    async check() {
      await docker("swarm", "leave", "--force");
      await until("no containers", async () => (await docker("ps", "-aq")) === "");
      const below = readdirSync("/sys/fs/cgroup/creel", { withFileTypes: true });
      assert.deepEqual(
        below.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
        [],
      );
      const mounts = readFileSync("/proc/self/mounts", "utf8");
      assert.doesNotMatch(mounts, /^overlay /m);
      const { stdout } = await run("systemctl", "--failed", "--plain", "--no-legend");
      assert.equal(stdout, "");
    },
  },
];

/** What systemd does with creeld. */
export const systemdChecks = { install, restarts, end };
