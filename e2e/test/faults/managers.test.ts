import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { audit } from "../../src/audit.ts";
import { docker, type Result } from "../../src/cli.ts";
import {
  ids,
  killProgram,
  leader,
  nodesBy,
  note,
  pidOf,
  processIds,
  runningTasks,
  seconds,
  timed,
} from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const ALL = ["node1", "node2", "node3"];
const REPLICAS = 3;

describe("managers are killed and lose their disks", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3, managers: 3 });
  const on = (node: string) => docker(fixture.lab, node);
  const data = (node: string) => join(fixture.lab.dir, node, "data");

  /** All that the cluster was told, in the words of one manager. */
  async function told(via: string): Promise<string[]> {
    const cli = on(via);
    const services = await cli.ok("service", "ls", "--format", "{{.ID}} {{.Name}} {{.Image}}");
    const networks = await cli.ok(
      "network",
      "ls",
      "--filter",
      "scope=swarm",
      "--format",
      "{{.ID}} {{.Name}}",
    );
    const labels = await cli.ok("node", "inspect", "node2", "--format", "{{.Spec.Labels}}");
    return [...services.split("\n"), ...networks.split("\n"), labels].sort();
  }

  async function allReachable(via: string): Promise<void> {
    await until("three managers", async () => {
      const nodes = [...(await nodesBy(fixture.lab, via)).values()];
      const there = nodes.filter((node) => node.ManagerStatus?.Reachability === "reachable");
      return (
        nodes.length === 3 && there.length === 3 && nodes.every(({ Status }) => Status.State === "ready")
      );
    });
  }

  /** Changes node2's labels; again where its status changed at the same time. */
  async function label(via: string, ...change: string[]): Promise<Result> {
    for (;;) {
      const result = await on(via).run(["node", "update", ...change, "node2"]);
      if (!result.stderr.includes("out of sequence")) return result;
    }
  }

  /** After a restart a task is told as running until its node has said otherwise: its container must be there. */
  const replicasRun = (via: string) =>
    until("replicas", async () => {
      const tasks = ids(await runningTasks(fixture.lab, via, "web"));
      const running = await Promise.all(ALL.map((node) => processIds(fixture.lab, node)));
      const names = running.flatMap((each) => [...each.keys()]).map((name) => name.split(".").at(-1)!);
      return tasks.length === REPLICAS && tasks.join() === names.sort().join();
    });

  before(async () => {
    await loadUsual(fixture.lab);
    const cli = on("node1");
    await cli.ok("network", "create", "-d", "overlay", "app");
    await cli.ok("node", "update", "--label-add", "zone=a", "node2");
    const replicas = ["--replicas", String(REPLICAS), "--restart-delay", "500ms"];
    await cli.ok("service", "create", "-q", "--name", "web", "--network", "app", ...replicas, "whoami");
  });

  it("all three are killed and started again: nothing is lost, no container notices", async () => {
    const { lab } = fixture;
    for (let i = 0; i < 10; i++) await on(ALL[i % 3]!).ok("network", "create", "-d", "overlay", `last${i}`);
    const before = [await told("node1"), ids(await runningTasks(lab, "node1"))];
    const pids = await Promise.all(ALL.map((node) => processIds(lab, node)));
    const took = await timed(async () => {
      await Promise.all(ALL.map((node) => killProgram(lab, node, "creeld")));
      await allReachable("node1");
    });
    note(`all serve again after ${seconds(took)}`);
    assert.deepEqual([await told("node1"), ids(await runningTasks(lab, "node1"))], before);
    assert.deepEqual(await told("node3"), before[0]);
    assert.deepEqual(await Promise.all(ALL.map((node) => processIds(lab, node))), pids);
    for (let i = 0; i < 10; i++) await on("node1").ok("network", "rm", `last${i}`);
    await audit(lab);
  });

  it("one loses its log: it takes a new place and is refilled", async () => {
    const { lab } = fixture;
    const before = await told("node1");
    await lab.kill("node3");
    rmSync(join(data("node3"), "swarm/manager"), { recursive: true });
    const took = await timed(async () => {
      await lab.restart("node3");
      await allReachable("node3");
    });
    note(`refilled after ${seconds(took)}`);
    assert.deepEqual(await told("node3"), before);
    await replicasRun("node3");
    await audit(lab);
  });

  it("one loses its whole disk: it joins anew, and carries the cluster when another is lost", async () => {
    const { lab } = fixture;
    const before = await told("node1");
    const old = (await nodesBy(lab, "node1")).get("node3")!.ID;
    await lab.kill("node3");
    rmSync(data("node3"), { recursive: true });
    await lab.restart("node3");
    assert.equal(await on("node3").ok("info", "-f", "{{.Swarm.LocalNodeState}}"), "inactive");
    await on("node1").ok("node", "demote", old);
    await until("the old one is down", async () => {
      await on("node1").ok("node", "rm", "--force", old);
      return true;
    });
    const token = await on("node1").ok("swarm", "join-token", "-q", "manager");
    await loadUsual(lab);
    await on("node3").ok("swarm", "join", "--token", token, `${lab.node("node1").address}:2377`);
    await allReachable("node3");
    assert.deepEqual(await told("node3"), before);
    await replicasRun("node3");
    await lab.kill("node1");
    await until("another leads", async () => ["node2", "node3"].includes((await leader(lab, "node3")) ?? ""));
    assert.equal((await label("node3", "--label-add", "zone=b")).code, 0);
    const after = await told("node3");
    assert.notDeepEqual(after, before);
    await lab.restart("node1");
    await allReachable("node3");
    assert.deepEqual(await told("node1"), after);
    await replicasRun("node3");
    await audit(lab);
  });

  describe("on disks of 160 MiB", () => {
    const full: string[] = [];
    const filler = (node: string) => `/proc/${fixture.lab.node(node).pid}/root${data(node)}/filler`;
    /** Others write meanwhile, so it goes on until nothing more is taken. */
    const fill = (node: string) => {
      for (const size of [1 << 20, 4096]) {
        try {
          for (;;) appendFileSync(filler(node), Buffer.alloc(size));
        } catch (error) {
          assert.match((error as Error).message, /ENOSPC/);
        }
      }
    };
    const free = (node: string) => rmSync(filler(node));
    const update = (via: string, value: string) => label(via, "--label-add", `full=${value}`);

    before(async () => {
      const { lab } = fixture;
      await Promise.all(ALL.map((node) => lab.kill(node)));
      for (const node of ALL) {
        renameSync(data(node), `${data(node)}.before`);
        execFileSync("mkdir", [data(node)]);
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=160m", "creel-lab", data(node)]);
        full.push(data(node));
        execFileSync("cp", ["-a", `${data(node)}.before/.`, data(node)]);
        rmSync(`${data(node)}.before`, { recursive: true });
      }
      await Promise.all(ALL.map((node) => lab.restart(node)));
      await allReachable("node1");
      await replicasRun("node1");
    });
    after(() => {
      for (const path of full) execFileSync("umount", ["-l", path]);
    });

    it("the leader's is full: another leads, and writes go on", async () => {
      const { lab } = fixture;
      const first = (await leader(lab, "node1"))!;
      const other = ALL.find((node) => node !== first)!;
      fill(first);
      const took = await timed(() =>
        until("another leads", async () => {
          await update(other, "x");
          const now = await leader(lab, other);
          return now !== undefined && now !== first;
        }),
      );
      note(`another leads after ${seconds(took)}`);
      for (const via of ALL) assert.equal((await update(via, via)).code, 0, via);
      free(first);
      await allReachable(first);
      const format = '{{index .Spec.Labels "full"}}';
      assert.equal(await on(first).ok("node", "inspect", "-f", format, "node2"), "node3");
    });

    it("all are full: writes are refused in words, reading goes on, and nothing is lost", async () => {
      const { lab } = fixture;
      assert.equal((await label("node1", "--label-rm", "full")).code, 0);
      const [before, pids] = [await told("node1"), await processIds(lab, "node1")];
      for (const node of ALL) fill(node);
      let words = "";
      const took = await timed(() =>
        until("writes are refused", async () => {
          const result = await update("node1", "no");
          words = result.stderr;
          return result.code !== 0;
        }),
      );
      note(`refused after ${seconds(took)}: ${words.trim()}`);
      assert.match(words, /disk|space/);
      const again = await timed(async () => assert.notEqual((await update("node2", "no")).code, 0));
      note(`refused again after ${seconds(again)}`);
      assert.match(await on("node2").ok("service", "ls"), /web/);
      const run = await on("node1").fails("run", "--rm", "busybox", "true");
      note(`docker run: ${run.stderr.trim().split("\n")[0]}`);
      assert.match(run.stderr, /no space left/i);
      await killProgram(lab, "node1", "creeld", pidOf(lab, "node1", "engine"));
      assert.deepEqual(await processIds(lab, "node1"), pids);
      for (const node of ALL) free(node);
      await on("node1").ok("run", "--rm", "busybox", "true");
      const back = await timed(() =>
        until("writes are taken", async () => (await update("node1", "yes")).code === 0),
      );
      note(`taken again ${seconds(back)} after there is room`);
      assert.equal((await label("node1", "--label-rm", "full")).code, 0);
      await allReachable("node1");
      assert.deepEqual(await told("node3"), before);
      assert.deepEqual(await processIds(lab, "node1"), pids);
      await Promise.all(ALL.map((node) => killProgram(lab, node, "creeld")));
      await allReachable("node1");
      assert.deepEqual(await told("node2"), before);
      await audit(lab);
    });
  });
});
