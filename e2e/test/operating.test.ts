import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask } from "../../tools/src/demo/requests.ts";
import { converged } from "../../tools/src/demo/service.ts";
import { docker } from "../src/cli.ts";
import { useLab } from "../src/fixture.ts";
import { loadUsual } from "../src/images.ts";
import { until } from "../src/wait.ts";

interface Line {
  level: number;
  msg: string;
  part?: string;
  request?: string;
  path?: string;
  task?: string;
}

describe("a cluster in operation", function () {
  this.timeout(180_000);
  const dir = mkdtempSync(join(tmpdir(), "ce-op-"));
  const configFile = join(dir, "daemon.json");
  before(() => writeFileSync(configFile, "{}"));
  const fixture = useLab({
    nodes: 3,
    flags: ["--metrics-addr", "0.0.0.0:9323", "--config-file", configFile],
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  const on = (node = "node1") => docker(fixture.lab, node);
  const names = ["node1", "node2", "node3"];
  before(() => loadUsual(fixture.lab));
  before(async () => {
    await on().ok("service", "create", "--name", "web", "--replicas", "3", "-p", "8080:8080", "whoami");
  });

  const engineLog = () => readFileSync(join(fixture.lab.dir, "node2/data/engine.log"), "utf8");
  const log = (node: string) => readFileSync(join(fixture.lab.dir, node, "creeld.log"), "utf8");
  const lines = (node: string) =>
    log(node)
      .split("\n")
      // the last one may just be being written
      .slice(0, -1)
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Line);
  const leader = async (via: string) =>
    (await on(via).ok("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"))
      .split("\n")
      .find((line) => line.endsWith("Leader"))
      ?.split(" ")[0];
  const signal = (node: string, name: string) => {
    const pidfile = join(fixture.lab.dir, node, "creeld.pid");
    const pid = readFileSync(pidfile, "utf8").trim();
    assert.equal(fixture.lab.exec(node, ["kill", `-${name}`, pid]).code, 0);
    return pid;
  };

  async function scrape(node: string): Promise<Map<string, number>> {
    const answer = await fetch(`http://${fixture.lab.node(node).address}:9323/metrics`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
    const samples = (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      samples.map((line) => {
        const [, name = "", value] = /^(.*) (\S+)$/.exec(line)!;
        return [name, Number(value)];
      }),
    );
  }

  it("gives its figures on every node, at the address asked for and on the socket", async () => {
    const all = await Promise.all(names.map(scrape));
    for (const figures of all) {
      assert.equal(figures.get("creel_engine_up"), 1);
      assert.equal(figures.get('engine_daemon_container_states_containers{state="running"}'), 1);
      assert.equal(figures.get("swarm_node_manager"), 1);
      assert.equal(figures.get("swarm_manager_services_total"), 1);
      assert.equal(figures.get('swarm_manager_nodes{state="ready"}'), 3);
      assert.equal(figures.get('swarm_manager_tasks_total{state="running"}'), 3);
      assert.equal(figures.get("creel_raft_voters"), 3);
      assert.ok(figures.get("creel_raft_applied")! > 0);
      assert.ok(figures.get("process_resident_memory_bytes")! > 0);
    }
    assert.deepEqual(all.map((figures) => figures.get("swarm_manager_leader")).sort(), [0, 0, 1]);
    const leading = all.find((figures) => figures.get("swarm_manager_leader") === 1)!;
    assert.equal(leading.get("creel_dispatcher_sessions"), 3);
    assert.ok(leading.get("swarm_raft_transaction_latency_seconds_count")! > 0);
    const text = await fixture.lab.rest("node1").get<string>("/metrics");
    assert.match(
      text,
      /creel_api_request_seconds_count\{method="POST",route="\/services\/create",status="201"\} 1/,
    );
    const sum = /^creel_api_request_seconds_sum\{method="POST",route="\/services\/create".*\} (\S+)$/m.exec(
      text,
    );
    assert.ok(Number(sum?.[1]) > 0);
    const { status } = await fetch(`http://${fixture.lab.node("node1").address}:9323/info`);
    assert.equal(status, 404);
  });

  it("counts requests by their route, not by what was asked for", async () => {
    for (let i = 0; i < 5; i++) await on().fails("inspect", `nothing-${i}`);
    const text = await fixture.lab.rest("node1").get<string>("/metrics");
    assert.match(
      text,
      /creel_api_request_seconds_count\{method="GET",route="\/containers\/:id\/json",status="404"\} 5/,
    );
    assert.doesNotMatch(text, /nothing-/);
  });

  it("changes its log level while it runs, names requests, and goes back", async () => {
    assert.ok(
      lines("node2").every((line) => line.msg !== "request"),
      "requests are logged at level debug alone",
    );
    writeFileSync(configFile, JSON.stringify({ debug: true }));
    signal("node2", "HUP");
    const line = await until("a request in the log", async () => {
      await on("node2").ok("version");
      return lines("node2").find((each) => each.msg === "request" && each.path?.endsWith("/version"));
    });
    assert.match(line.request!, /^[0-9a-f]{16}$/);
    assert.ok(lines("node2").every(({ level }) => typeof level === "number"));
    await until("the engine's level", async () => engineLog().includes("the log level was changed"));
    await on("node2").ok("ps");
    assert.doesNotMatch(engineLog(), /"target":"h2/, "what libraries tell of each frame");
    writeFileSync(configFile, JSON.stringify({ "log-level": "error" }));
    signal("node2", "HUP");
    await until("silence", async () => {
      const count = lines("node2").length;
      await on("node2").ok("version");
      return lines("node2").length === count;
    });
    writeFileSync(configFile, "{");
    signal("node2", "HUP");
    await until("the refusal", async () => log("node2").includes("configuration not read"));
    writeFileSync(configFile, "{}");
    signal("node2", "HUP");
    assert.equal(await on("node2").ok("version", "--format", "{{.Server.Platform.Name}}"), "Creel");
  });

  it("takes a CPU profile and a heap snapshot of the daemon", async () => {
    const rest = fixture.lab.rest("node3");
    const profile = await rest.get<{ nodes: unknown[] }>("/debug/profile?seconds=1");
    assert.ok(profile.nodes.length > 0);
    const heap = await rest.call<{ snapshot: unknown }>("GET", "/debug/heap", undefined, 60_000);
    assert.ok(heap.snapshot);
    await assert.rejects(rest.get("/debug/profile?seconds=9999"), /seconds must be 1 to 300/);
  });

  it("hands the lead over when it is stopped, and no request to a service fails", async () => {
    const old = (await leader("node1"))!;
    const other = names.find((name) => name !== old)!;
    const containers = await on(old).ok("ps", "-q", "--no-trunc");
    let stop = false;
    let asked = 0;
    const failures: string[] = [];
    const requests = names.map(async (name) => {
      while (!stop) {
        await ask(fixture.lab.node(name).address, 8080, 10_000).then(
          () => asked++,
          (error: Error) => failures.push(`${name}: ${error.message}`),
        );
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    });
    const pid = signal(old, "TERM");
    const next = await until("another leader", async () => {
      const now = await leader(other);
      return now !== undefined && now !== old && now;
    });
    await on(next).ok("service", "scale", "-d", "web=4");
    await until("the daemon again", async () => {
      const now = readFileSync(join(fixture.lab.dir, old, "creeld.pid"), "utf8").trim();
      return now !== pid && (await on(old).run(["node", "ls"])).code === 0;
    });
    const id = await on(other).ok("service", "inspect", "--format", "{{.ID}}", "web");
    await converged(fixture.lab.rest(other), id, 4);
    stop = true;
    await Promise.all(requests);
    assert.deepEqual(failures, []);
    assert.ok(asked > 0);
    const after = await on(old).ok("ps", "-q", "--no-trunc");
    for (const container of containers.split("\n")) assert.ok(after.includes(container), container);
    const text = log(old);
    assert.match(text, /"msg":"stopping; containers go on running"/);
    const since = lines(old).findIndex((line) => line.msg.startsWith("stopping"));
    const bad = lines(old).filter((line, at) => at > since && line.level >= 50);
    assert.deepEqual(bad, [], "nothing went wrong while it stopped");
  });

  it("names tasks in its log, and never a secret", async () => {
    const rest = fixture.lab.rest("node1");
    await on().ok(
      "service",
      "create",
      "-d",
      "--name",
      "ends",
      "--restart-condition",
      "none",
      "busybox",
      "false",
    );
    const [task] = await until("the task's end", async () => {
      const tasks = await rest.get<{ ID: string; Status: { State: string } }[]>(
        `/tasks?filters=${encodeURIComponent('{"service":{"ends":true}}')}`,
      );
      return tasks.some((each) => each.Status.State === "failed") && tasks;
    });
    await until("the task in a node's log", async () =>
      names.some((node) => lines(node).some((line) => line.task === task!.ID)),
    );
    const swarm = await rest.get<{ JoinTokens: { Worker: string; Manager: string } }>("/swarm");
    const secrets = [swarm.JoinTokens.Worker, swarm.JoinTokens.Manager];
    for (const token of [...secrets]) secrets.push(token.split("-")[3]!);
    for (const node of names) {
      const identity = readFileSync(join(fixture.lab.dir, node, "data/swarm/identity.json"), "utf8");
      const { keys } = JSON.parse(identity) as { keys: { tls: string; raft: string } };
      secrets.push(keys.raft, keys.tls.split("\n")[1]!);
    }
    await assert.rejects(
      rest.post("/swarm/join", { RemoteAddrs: ["127.0.0.1:1"], JoinToken: secrets[0], ListenAddr: "" }),
    );
    for (const node of names) {
      const logs = [
        join(fixture.lab.dir, node, "creeld.log"),
        join(fixture.lab.dir, node, "data/engine.log"),
      ];
      for (const path of logs) {
        const text = readFileSync(path, "utf8");
        for (const secret of secrets) assert.ok(!text.includes(secret), `${path} holds a secret`);
        assert.doesNotMatch(text, /PRIVATE KEY/);
      }
    }
    const modes = fixture.lab.exec("node1", ["stat", "-c", "%a", join(fixture.lab.dir, "node1/data/swarm")]);
    assert.equal(modes.stdout.trim(), "700");
  });

  it("refuses data that a newer version has written, with a sentence", async () => {
    const data = join(fixture.lab.dir, "node3/data");
    assert.equal(readFileSync(join(data, "format"), "utf8").trim(), "1");
    assert.ok(readdirSync(join(data, "swarm")).includes("state.json"));
    writeFileSync(join(data, "format"), "7\n");
    signal("node3", "TERM");
    await until("the refusal", async () =>
      /format was written by a newer Creel \(format 7/.test(log("node3")),
    );
    writeFileSync(join(data, "format"), "1\n");
    await fixture.lab.ready("node3");
    await until("node3 is a manager again", async () => (await on("node3").run(["node", "ls"])).code === 0);
  });
});
