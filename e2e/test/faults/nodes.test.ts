import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { answers } from "../../../tools/src/demo/requests.ts";
import { audit } from "../../src/audit.ts";
import { docker } from "../../src/cli.ts";
import {
  anotherLeader,
  type ClusterTask,
  ids,
  leader,
  nodeState,
  nodesBy,
  note,
  pidOf,
  prepare,
  processIds,
  runningTasks,
  seconds,
  Traffic,
  timed,
} from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { until } from "../../src/wait.ts";

const PORT = 8080;
const ENV = ["--env", "TASK={{.Task.Name}}", "--env", "NODE={{.Node.Hostname}}"];
const REPLICAS = 6;
const ALL = ["node1", "node2", "node3", "node4"];
/** Of one client; more than all replicas get one each. */
const REQUESTS = 10;
/** Ends at once when it is told to. */
const CLIENT = ["busybox", "sh", "-c", "trap 'exit 0' TERM; sleep 10000 & wait"];
/** A manager that is not this one. */
const otherThan = (manager: string) => (manager === "node1" ? "node2" : "node1");
const addressOf = (task: ClusterTask) =>
  task.NetworksAttachments.find(({ Network }) => Network.Spec.Name === "app")!.Addresses[0]!.replace(
    /\/.*/,
    "",
  );

describe("nodes are lost, cut off and come back", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 4, managers: 3 });
  const hosts = (...but: string[]) => fixture.lab.nodes.filter(({ name }) => !but.includes(name));
  const on = (node: string) => docker(fixture.lab, node);
  const tasks = (service: string, via = "node1") => runningTasks(fixture.lab, via, service);

  /** Names, addresses and balancing are right for a client on `node`: those of the tasks that run, and no others. */
  async function right(node: string, via = "node1"): Promise<boolean> {
    const wanted = await tasks("back", via);
    const rest = fixture.lab.rest(node);
    const filters = encodeURIComponent(JSON.stringify({ name: ["client."] }));
    const [client] = await rest.get<{ Id: string }[]>(`/containers/json?filters=${filters}`);
    const requests = `for i in $(seq 1 ${REQUESTS}); do timeout 1 wget -qO- http://back:8080/; done`;
    const script = `nslookup tasks.back 127.0.0.11; ${requests}`;
    const { stdout } = await on(node).run(["exec", client!.Id, "sh", "-c", script], { timeout: 20_000 });
    const all = (pattern: RegExp) => [...stdout.matchAll(pattern)].map(([, word]) => word!);
    const answered = all(/^task: \S+?\.\d+\.(\S+)/gm);
    return (
      wanted.length === REPLICAS &&
      all(/^Address: (10\.\S+)/gm)
        .sort()
        .join() === wanted.map(addressOf).sort().join() &&
      answered.length === REQUESTS &&
      answered.every((id) => wanted.some(({ ID }) => ID === id))
    );
  }

  async function scale(replicas: number, via = "node1"): Promise<void> {
    await on(via).ok("service", "scale", "-d", `back=${replicas}`);
    await until(`${replicas} replicas`, async () => (await tasks("back", via)).length === replicas);
  }

  before(async () => {
    await prepare(fixture.lab);
    const cli = on("node1");
    await cli.ok("network", "create", "-d", "overlay", "app");
    const replicas = ["--replicas", String(REPLICAS)];
    const create = ["service", "create", "-q", "--network", "app", "--restart-delay", "500ms"];
    await cli.ok(...create, "--name", "back", ...replicas, "-p", `${PORT}:8080`, ...ENV, "whoami");
    await cli.ok(...create, "--name", "client", "--mode", "global", ...CLIENT);
    for (const node of ALL) await until(`${node} sees it`, () => right(node));
  });

  it("a node is lost: its replicas run elsewhere, and requests to the others fail only until that is known", async () => {
    const { lab } = fixture;
    const grace = 3000;
    assert.ok((await processIds(lab, "node4")).size > 1);
    const traffic = new Traffic(hosts("node4"), PORT, 20, 500);
    const begun = performance.now();
    await lab.kill("node4");
    await nodeState(lab, "node1", "node4", "down");
    const detected = performance.now() - begun;
    await until("six replicas", async () => (await tasks("back")).length === REPLICAS);
    const whole = performance.now() - begun;
    await until("the others see them", () => right("node1"));
    await delay(500);
    await traffic.stop();
    const after = Math.max(0, whole - grace);
    note(`known after ${seconds(detected)}, all replicas run ${seconds(after)} after the heartbeat's end`);
    note(
      `${traffic.failures.length} of ${traffic.total} requests failed, within ${seconds(traffic.failedFor)}`,
    );
    assert.ok(after < 10_000);
    assert.ok(traffic.failedFor < detected + 3000, JSON.stringify(traffic.failures.slice(-5)));
    await audit(lab);
  });

  it("the lost node comes back: empty, and part of everything", async () => {
    const { lab } = fixture;
    const took = await timed(async () => {
      await lab.restart("node4");
      await nodeState(lab, "node1", "node4", "ready");
      await until("its client runs", async () => (await tasks("client")).length === 4);
      await until("node4 sees it", () => right("node4"));
    });
    note(`back after ${seconds(took)}`);
    assert.equal((await answers(hosts(), PORT, 20)).failed, 0);
    await audit(lab);
  });

  it("a node is cut off for 12 s and healed: all is right again by itself", async () => {
    const { lab } = fixture;
    await scale(REPLICAS + 2);
    assert.ok((await processIds(lab, "node4")).size > 1, "node4 has got one of the new");
    lab.cut("node4");
    const cut = performance.now();
    await nodeState(lab, "node1", "node4", "down");
    // the world changes meanwhile
    await scale(REPLICAS, "node2");
    await delay(12_000 - (performance.now() - cut));
    const healed = performance.now();
    lab.heal("node4");
    await until(
      "node4 is ready",
      async () => (await nodesBy(lab, "node1")).get("node4")?.Status.State === "ready",
    );
    note(`ready ${seconds(performance.now() - healed)} after the cut was healed`);
    await until("node4 sees it", () => right("node4"));
    note(`names, addresses and balancing right after ${seconds(performance.now() - healed)}`);
    await until("surplus tasks are gone", async () => {
      const own = ids([...(await tasks("back")), ...(await tasks("client"))]);
      const names = [...(await processIds(lab, "node4")).keys()];
      return names.every((name) => own.includes(name.split(".").at(-1)!));
    });
    note(`surplus tasks gone after ${seconds(performance.now() - healed)}`);
    for (const node of ALL) await until(`${node} sees it`, () => right(node));
    assert.equal((await answers(hosts(), PORT, 20)).failed, 0);
    await audit(lab);
  });

  it("the leader is lost: another leads, and services can be scaled", async () => {
    const { lab } = fixture;
    const lost = (await leader(lab, "node1"))!;
    const via = otherThan(lost);
    const begun = performance.now();
    await lab.kill(lost);
    await anotherLeader(lab, via, lost);
    note(`another leader after ${seconds(performance.now() - begun)}`);
    await on(via).ok("service", "scale", "-d", `back=${REPLICAS + 1}`);
    note(`scale taken after ${seconds(performance.now() - begun)}`);
    await until("seven replicas", async () => {
      const now = await tasks("back", via);
      return now.length === REPLICAS + 1 && (await nodesBy(lab, via)).get(lost)?.Status.State === "down";
    });
    note(`seven replicas after ${seconds(performance.now() - begun)}`);
    await scale(REPLICAS, via);
    await lab.restart(lost);
    await nodeState(lab, via, lost, "ready");
    await until("its client runs", async () => (await tasks("client", via)).length === 4);
    for (const node of ALL) await until(`${node} sees it`, () => right(node, via));
    await audit(lab);
  });

  it("the leader is cut off for 10 s and healed: it follows, and all is right again by itself", async () => {
    const { lab } = fixture;
    const cut = (await leader(lab, "node1"))!;
    const via = otherThan(cut);
    const begun = performance.now();
    lab.cut(cut);
    await anotherLeader(lab, via, cut);
    note(`another leader after ${seconds(performance.now() - begun)}`);
    const refused = await on(cut).fails("service", "scale", "-d", `back=${REPLICAS + 3}`);
    assert.match(refused.stderr, /leader|majority|quorum/i);
    await until("six replicas elsewhere", async () => (await tasks("back", via)).length === REPLICAS);
    await delay(Math.max(0, 10_000 - (performance.now() - begun)));
    const healed = performance.now();
    lab.heal(cut);
    await until("it is ready", async () => (await nodesBy(lab, via)).get(cut)?.Status.State === "ready");
    await until("it sees all", () => right(cut, via));
    note(`right again ${seconds(performance.now() - healed)} after the cut was healed`);
    assert.equal(
      await on(cut).ok("service", "inspect", "-f", "{{.Spec.Mode.Replicated.Replicas}}", "back"),
      `${REPLICAS}`,
    );
    for (const node of ALL) await until(`${node} sees it`, () => right(node, via));
    await audit(lab);
  });

  it("the leader's daemon stands still for 6 s: another leads, and afterwards it follows", async () => {
    const { lab } = fixture;
    const still = (await leader(lab, "node1"))!;
    const via = otherThan(still);
    const pid = String(pidOf(lab, still, "creeld"));
    const begun = performance.now();
    lab.exec(still, ["kill", "-STOP", pid]);
    await anotherLeader(lab, via, still);
    note(`another leader after ${seconds(performance.now() - begun)}`);
    await scale(REPLICAS + 1, via);
    await delay(6000 - (performance.now() - begun));
    lab.exec(still, ["kill", "-CONT", pid]);
    const woken = performance.now();
    await nodeState(lab, via, still, "ready");
    await scale(REPLICAS, still);
    await until("clients", async () => (await tasks("client", via)).length === 4);
    for (const node of ALL) await until(`${node} sees it`, () => right(node, via));
    note(`right again ${seconds(performance.now() - woken)} after it went on`);
    await audit(lab);
  });

  it("all nodes at once, three managers and a worker: everything that ran runs again", async () => {
    const { lab } = fixture;
    await on("node4").ok("run", "-d", "--name", "kept", "--restart", "always", "busybox", "sleep", "10000");
    await Promise.all(ALL.map((node) => lab.kill(node)));
    const took = await timed(async () => {
      await Promise.all(ALL.map((node) => lab.restart(node)));
      await until("all ready", async () => {
        const states = [...(await nodesBy(lab, "node1")).values()].map(({ Status }) => Status.State);
        return states.length === 4 && states.every((state) => state === "ready");
      });
      await until("clients", async () => (await tasks("client")).length === 4);
      await until("replicas", async () => (await tasks("back")).length === REPLICAS);
      for (const node of ALL) await until(`${node} sees it`, () => right(node));
    });
    note(`everything runs again after ${seconds(took)}`);
    assert.equal((await answers(hosts(), PORT, 20)).failed, 0);
    await until("the container runs", async () => (await processIds(lab, "node4")).has("/kept"));
    await on("node4").ok("rm", "-f", "kept");
    await audit(lab);
  });

  it("leaves nothing on its hosts when the services are gone", async () => {
    await on("node1").ok("service", "rm", "back", "client");
    await until("all are gone", async () => {
      const counts = await Promise.all(ALL.map((name) => processIds(fixture.lab, name)));
      return counts.every(({ size }) => size === 0);
    });
    await audit(fixture.lab);
  });
});
