import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docker } from "../../src/cli.ts";
import { pidOf } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

interface Event {
  Type: string;
  Action: string;
  scope: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  timeNano: number;
}

describe("docker events", function () {
  this.timeout(180_000);
  const dir = mkdtempSync(join(tmpdir(), "ce-ev-"));
  const configFile = join(dir, "daemon.json");
  before(() => writeFileSync(configFile, "{}"));
  const fixture = useLab({ nodes: 2, managers: 1, flags: ["--config-file", configFile] });
  before(() => loadUsual(fixture.lab));
  after(() => rmSync(dir, { recursive: true, force: true }));
  const on = () => docker(fixture.lab);
  let began = 0;
  before(() => {
    began = Date.now() / 1000;
  });

  /** Past events from the tests' begin to now, by docker's own filters. */
  const past = async (...filters: string[]): Promise<Event[]> => {
    const range = ["--since", began.toFixed(3), "--until", (Date.now() / 1000).toFixed(3)];
    const options = filters.flatMap((filter) => ["--filter", filter]);
    const text = await on().ok("events", ...range, ...options, "--format", "{{json .}}");
    return text.split("\n").flatMap((line) => (line === "" ? [] : (JSON.parse(line) as Event)));
  };
  const words = (events: Event[]) => events.map(({ Type, Action }) => `${Type} ${Action}`);
  /** Waits until the events by these filters are at least those, in this order. */
  const told = (wanted: string[], ...filters: string[]) =>
    until(`${filters}: ${wanted}`, async () => {
      const events = await past(...filters);
      const found = words(events);
      let at = -1;
      for (const word of wanted) {
        at = found.indexOf(word, at + 1);
        if (at < 0) throw new Error(found.join(", "));
      }
      return events;
    });

  it("tell of services with what was and what is, and of their tasks where these are asked for", async () => {
    await on().ok("service", "create", "-q", "--name", "web", "--update-monitor", "100ms", "whoami");
    await on().ok("service", "scale", "-d", "web=2");
    await on().ok("service", "update", "-q", "--env-add", "A=b", "web");
    await on().ok("service", "rm", "web");
    const events = await told(["service create", "service update", "service remove"], "service=web");
    assert.ok(events.every(({ scope, Actor }) => scope === "swarm" && Actor.Attributes.name === "web"));
    const attributes = Object.assign({}, ...events.map(({ Actor }) => Actor.Attributes));
    assert.deepEqual([attributes["replicas.old"], attributes["replicas.new"]], ["1", "2"]);
    const states = events.flatMap(({ Actor }) => Actor.Attributes["updatestate.new"] ?? []);
    assert.deepEqual(states, ["updating", "completed"]);
    assert.deepEqual(words(await past("type=service", "event=remove")), ["service remove"]);

    const tasks = await told(["task create", "task update", "task remove"], "type=task");
    const [made] = tasks.filter(
      ({ Action, Actor }) => Action === "create" && Actor.Attributes.name === "web.2",
    );
    assert.equal(made?.Actor.Attributes.cause, "the service asks for it");
    assert.ok(tasks.some(({ Actor }) => Actor.Attributes["state.new"] === "running"));
    assert.ok(tasks.some(({ Actor }) => Actor.Attributes.cause === "the service was updated"));
    assert.ok(
      (await past("scope=swarm")).every(({ Type }) => Type !== "task"),
      "only where asked for",
    );
  });

  it("tell of nodes, networks, secrets and configs", async () => {
    await on().ok("node", "update", "--availability", "drain", "node2");
    await on().ok("node", "update", "--availability", "active", "node2");
    const nodes = await told(["node update", "node update"], "node=node2");
    const pairs = nodes.map(({ Actor: { Attributes } }) => [
      Attributes["availability.old"],
      Attributes["availability.new"],
    ]);
    assert.deepEqual(pairs.slice(-2), [
      ["active", "drain"],
      ["drain", "active"],
    ]);
    await on().ok("network", "create", "-d", "overlay", "net");
    await on().ok("network", "rm", "net");
    await told(["network create", "network remove"], "type=network", "scope=swarm");
    for (const kind of ["secret", "config"]) {
      assert.equal((await on().run([kind, "create", "it", "-"], { input: "value" })).code, 0);
      await on().ok(kind, "rm", "it");
      await told([`${kind} create`, `${kind} remove`], `${kind}=it`);
    }
  });

  it("tell of containers, their networks and volumes, and of images", async () => {
    await on().ok("network", "create", "back");
    await on().ok("volume", "create", "data");
    const run = ["run", "-d", "--name", "it", "--network", "back", "-v", "data:/data", "--label", "a=b"];
    await on().ok(...run, "busybox", "sleep", "100");
    await on().ok("exec", "it", "true");
    await on().ok("pause", "it");
    await on().ok("unpause", "it");
    await on().ok("restart", "-t", "0", "it");
    await on().ok("rename", "it", "other");
    await on().ok("stop", "-t", "0", "other");
    await on().ok("rm", "other");
    const life = ["create", "start", "exec_create: true", "exec_start: true", "exec_die", "pause", "unpause"];
    const rest = ["kill", "die", "stop", "start", "restart", "rename", "kill", "die", "stop", "destroy"];
    await told(
      [...life, ...rest].map((word) => `container ${word}`),
      "type=container",
      "label=a=b",
    );
    await on().ok("network", "rm", "back");
    await told(
      ["create", "connect", "disconnect", "destroy"].map((word) => `network ${word}`),
      "network=back",
    );
    await on().ok("volume", "rm", "data");
    const volume = ["create", "mount", "unmount", "mount", "unmount", "destroy"];
    await told(
      volume.map((word) => `volume ${word}`),
      "volume=data",
    );

    await on().ok("tag", "busybox", "mine:1");
    await on().ok("save", "-o", join(dir, "mine.tar"), "mine:1");
    await on().ok("rmi", "mine:1");
    await told(["image tag", "image save", "image untag"], "type=image");
    for (const kind of ["container", "network", "volume", "image"]) {
      await on().ok(kind, "prune", "-f");
      await told([`${kind} prune`], "event=prune", `type=${kind}`);
    }
  });

  it("tell of a configuration that was read again", async () => {
    writeFileSync(configFile, JSON.stringify({ "log-level": "debug" }));
    const { code } = fixture.lab.exec("node1", [
      "kill",
      "-HUP",
      String(pidOf(fixture.lab, "node1", "creeld")),
    ]);
    assert.equal(code, 0);
    const [event] = await told(["daemon reload"], "type=daemon");
    assert.equal(event?.Actor.Attributes["log-level"], "debug");
  });

  it("come in order, as they happen, and a stream ends at its --until", async () => {
    const events = await past();
    const times = events.map(({ timeNano }) => timeNano);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
    const end = ((Date.now() + 4_000) / 1000).toFixed(3);
    const host = `unix://${fixture.lab.socket("node1")}`;
    const stream = spawn("docker", ["-H", host, "events", "--until", end, "--filter", "event=create"]);
    let said = "";
    stream.stdout.on("data", (chunk) => (said += chunk));
    const ended = new Promise((resolve) => stream.on("close", resolve));
    await until("an event as it happens", async () => {
      await on().run(["volume", "create", `live${Date.now()}`]);
      return /volume create live/.test(said);
    });
    assert.equal(await ended, 0);
    await on().ok("volume", "prune", "-af");
  });

  it("tell of nodes that change their role, go and come", async () => {
    const worker = docker(fixture.lab, "node2");
    const id = await on().ok("node", "inspect", "-f", "{{.ID}}", "node2");
    const role = (event: Event) => [event.Actor.Attributes["role.old"], event.Actor.Attributes["role.new"]];
    const said = (...wanted: string[]) =>
      until(`role ${wanted}`, async () =>
        (await past("type=node", `node=${id}`)).some((event) => `${role(event)}` === `${wanted}`),
      );
    await on().ok("node", "promote", "node2");
    await said("worker", "manager");
    await until("it is a manager", async () => (await worker.run(["node", "ls"])).code === 0);
    await on().ok("node", "demote", "node2");
    await said("manager", "worker");
    await until("it is a worker", async () => (await worker.run(["swarm", "leave"])).code === 0);
    await until("it can go", async () => (await on().run(["node", "rm", id])).code === 0);
    await told(["node update", "node remove"], "type=node", `node=${id}`);
    const token = await on().ok("swarm", "join-token", "-q", "worker");
    await worker.ok("swarm", "join", "--token", token, `${fixture.lab.node("node1").address}:2377`);
    const next = await on().ok("node", "inspect", "-f", "{{.ID}}", "node2");
    assert.notEqual(next, id);
    await told(["node create", "node update"], "type=node", `node=${next}`);
  });
});
