import assert from "node:assert/strict";
import { answers, ask } from "../../tools/src/demo/requests.ts";
import { converged, wantedTasks } from "../../tools/src/demo/service.ts";
import { audit } from "../src/audit.ts";
import { creel, docker } from "../src/cli.ts";
import { useLab } from "../src/fixture.ts";
import { loadUsual } from "../src/images.ts";
import { until } from "../src/wait.ts";

const ENV = ["--env", "TASK={{.Task.Name}}", "--env", "NODE={{.Node.Hostname}}"];

describe("a service on three nodes", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3 });
  const on = (node = "node1") => docker(fixture.lab, node);
  before(() => loadUsual(fixture.lab));
  afterEach(() => audit(fixture.lab));

  const idOf = async (name: string) => on().ok("service", "inspect", "--format", "{{.ID}}", name);
  const hosts = () => fixture.lab.nodes.map(({ name, address }) => ({ name, address }));

  it("is created, spread, published on every node, and answers with all replicas", async () => {
    await on().ok(
      "service",
      "create",
      "--name",
      "web",
      "--replicas",
      "3",
      "--publish",
      "8080:8080",
      ...ENV,
      "whoami",
    );
    const tally = await answers(hosts(), 8080, 60);
    assert.equal(tally.failed, 0);
    assert.equal(tally.tasks.size, 3);
    assert.deepEqual([...tally.tasks.values()].sort(), ["node1", "node2", "node3"]);
    for (const [task, row] of tally.counts) {
      for (const host of hosts())
        assert.ok((row.get(host.name) ?? 0) > 0, `${task} never answered through ${host.name}`);
    }
  });

  it("shows the container the client's own address, also through a node without a replica", async () => {
    await on().ok(
      "service",
      "create",
      "--name",
      "one",
      "--publish",
      "8081:8080",
      "--constraint",
      "node.hostname==node2",
      ...ENV,
      "whoami",
    );
    const bridge = hosts()[0]!.address.replace(/\.\d+$/, ".1");
    for (const host of hosts()) {
      const answer = await ask(host.address, 8081);
      assert.equal(answer.node, "node2");
      assert.equal(answer.client?.split(":")[0], bridge, `through ${host.name}`);
    }
    await on().ok("service", "rm", "one");
  });

  it("scales up and down from another manager, and docker's progress ends", async () => {
    const said = await on("node2").ok("service", "scale", "web=6");
    assert.match(said, /web scaled to 6/);
    assert.match(said, /converged/);
    assert.equal((await answers(hosts(), 8080, 60)).tasks.size, 6);
    await on("node3").ok("service", "scale", "web=2");
    assert.equal((await wantedTasks(fixture.lab.rest("node1"), await idOf("web"))).length, 2);
    const tally = await answers(hosts(), 8080, 40);
    assert.deepEqual([tally.failed, tally.tasks.size], [0, 2]);
  });

  it("is listed, inspected, and its tasks and logs are shown", async () => {
    assert.match(
      await on().ok("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}} {{.Ports}}"),
      /^web replicated 2\/2 \*:8080->8080\/tcp$/m,
    );
    const ps = (
      await on().ok(
        "service",
        "ps",
        "--filter",
        "desired-state=running",
        "--format",
        "{{.Name}} {{.CurrentState}} {{.Error}}",
        "web",
      )
    ).split("\n");
    assert.equal(ps.length, 2);
    for (const line of ps) assert.match(line, /^web\.\d Running/);
    const logs = await on().run(["service", "logs", "web"]);
    assert.equal(logs.code, 0, logs.stderr);
    assert.match(logs.stdout, /web\.\d+\.[0-9a-z]{12}@node\d\s+\| whoami: .* listens on port 8080/);
  });

  it("is reached by name and by virtual address from other services", async () => {
    await on().ok("network", "create", "-d", "overlay", "app");
    await on().ok(
      "service",
      "create",
      "-q",
      "--name",
      "back",
      "--replicas",
      "3",
      "--network",
      "app",
      ...ENV,
      "whoami",
    );
    const script =
      "for i in $(seq 1 30); do wget -qO- http://back:8080/; done; nslookup tasks.back; sleep 1000";
    await on().ok(
      "service",
      "create",
      "-q",
      "--name",
      "front",
      "--network",
      "app",
      "busybox",
      "sh",
      "-c",
      script,
    );
    const seen = await until("the requests", async () => {
      const text = await on().ok("service", "logs", "--raw", "front");
      return (text.match(/^task: back/gm) ?? []).length >= 30 && /tasks\.back/.test(text) && text;
    });
    assert.equal(new Set([...seen.matchAll(/^task: (back\.\d)/gm)].map((match) => match[1])).size, 3);
    assert.equal(
      new Set([...seen.matchAll(/Address(?: \d+)?: (10\.0\.\d+\.\d+)/g)].map((match) => match[1])).size,
      3,
    );
    await on().ok("service", "rm", "front", "back");
    await until("removal", async () => (await on().run(["network", "rm", "app"])).code === 0);
  });

  it("starts a task again when its process ends", async () => {
    const rest = fixture.lab.rest("node1");
    const id = await idOf("web");
    await ask(hosts()[0]!.address, 8080);
    const before = new Set((await wantedTasks(rest, id)).map((task) => task.ID));
    await fetch(`http://${hosts()[0]!.address}:8080/exit/3`).catch(() => {});
    await until("a new task", async () => {
      const tasks = await wantedTasks(rest, id);
      return (
        tasks.some((task) => !before.has(task.ID)) &&
        tasks.filter((task) => task.Status.State === "running").length === 2
      );
    });
    assert.match(
      await on().ok("service", "ps", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}", "web"),
      /Failed.*task: non-zero exit \(3\)/,
    );
  });

  it("rolls to another spec, and back", async () => {
    await on().ok("service", "update", "-q", "--env-add", "ROUND=2", "web");
    const answer = async () => (await fetch(`http://${hosts()[1]!.address}:8080/env/ROUND`)).text();
    assert.equal(await answer(), "2");
    await on().ok("service", "rollback", "-q", "web");
    assert.equal(await answer(), "");
  });

  it("runs elsewhere when a node is lost, and the other nodes go on answering", async () => {
    const rest = fixture.lab.rest("node1");
    await on().ok("service", "scale", "web=6");
    await fixture.lab.kill("node3");
    await until("replacement", async () => {
      const ids = await fixture.lab
        .rest("node1")
        .get<{ ID: string; Description: { Hostname: string } }[]>("/nodes");
      const lost = ids.find((node) => node.Description.Hostname === "node3")?.ID;
      const tasks = await wantedTasks(rest, await idOf("web"));
      return tasks.filter((task) => task.Status.State === "running" && task.NodeID !== lost).length === 6;
    });
    const tally = await answers(hosts().slice(0, 2), 8080, 60);
    assert.deepEqual([tally.failed, tally.tasks.size], [0, 6]);
    await fixture.lab.restart("node3");
    await until("node3 is back", async () =>
      (await on().ok("node", "ls", "--format", "{{.Hostname}} {{.Status}}")).includes("node3 Ready"),
    );
    await converged(rest, await idOf("web"), 6);
    const again = await until("node3 answers", async () => {
      const tried = await answers([hosts()[2]!], 8080, 10);
      return tried.failed === 0 && tried;
    });
    assert.ok(again.tasks.size > 1);
  });

  it("goes on under another leader", async () => {
    const leader = async (via: string) => {
      const lines = (await on(via).ok("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}")).split(
        "\n",
      );
      return lines.find((line) => line.endsWith("Leader"))!.split(" ")[0]!;
    };
    const old = await leader("node1");
    const other = ["node1", "node2", "node3"].find((name) => name !== old)!;
    await fixture.lab.kill(old);
    await until("another leader", async () => (await leader(other)) !== old);
    await on(other).ok("service", "scale", "-d", "web=4");
    await converged(fixture.lab.rest(other), await idOf2(other, "web"), 4);
    await fixture.lab.restart(old);
  });
  const idOf2 = async (node: string, name: string) =>
    on(node).ok("service", "inspect", "--format", "{{.ID}}", name);

  it("refuses bad input with Docker's words, and makes nothing of it", async () => {
    const cli = on();
    await until("the cluster", async () => (await cli.run(["node", "ls"])).code === 0);
    const said = async (...args: string[]) => (await cli.fails(...args)).stderr;
    assert.match(
      await said("service", "create", "--name", "web", "whoami"),
      /name conflicts with an existing object/,
    );
    assert.match(
      await said("service", "create", "--name", "-bad-", "whoami"),
      /name must be valid|invalid name/,
    );
    assert.match(
      await said("service", "create", "--name", "p", "--publish", "8080:8080", "whoami"),
      /port '8080' is already in use by service 'web'/,
    );
    assert.match(
      await said("service", "create", "--name", "n", "--network", "nothing", "whoami"),
      /network nothing not found/,
    );
    assert.match(
      await said("service", "create", "--name", "c", "--constraint", "node.color~blue", "whoami"),
      /constraint/,
    );
    assert.match(await said("service", "inspect", "nothing"), /no such service: nothing/i);
    assert.match(await said("service", "scale", "nothing=2"), /not found|no such service/i);
    assert.deepEqual((await cli.ok("service", "ls", "--format", "{{.Name}}")).split("\n"), ["web"]);
    const pending = ["service", "create", "-d", "--name", "huge", "--reserve-memory", "900g", "whoami"];
    await cli.ok(...pending);
    await until("a cause", async () =>
      /no suitable node \(insufficient resources on 3 nodes\)/.test(
        await cli.ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", "huge"),
      ),
    );
    await cli.ok("service", "rm", "huge");
    await cli.ok("service", "create", "-d", "--name", "unknown", "--no-resolve-image", "no-such-image:1");
    await until("a cause", async () =>
      /No such image: no-such-image:1/.test(
        await cli.ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", "unknown"),
      ),
    );
    await cli.ok("service", "rm", "unknown");
  });

  it("is driven by creel in the same words", async () => {
    const cli = creel(fixture.lab, "node2");
    assert.match(
      await cli.ok(
        "service",
        "create",
        "--name",
        "two",
        "--replicas",
        "2",
        "-p",
        "8082:8080",
        "-e",
        "TASK={{.Task.Name}}",
        "whoami",
      ),
      /Service two converged/,
    );
    assert.match(await cli.ok("service", "scale", "two=3"), /two scaled to 3/);
    assert.match(
      await cli.ok("service", "ls"),
      /^\w+ +two +replicated +3\/3 +whoami(?::latest)?\S* +\*:8082->8080\/tcp$/m,
    );
    assert.equal((await cli.ok("service", "ps", "-q", "two")).split("\n").length, 3);
    assert.match(await cli.ok("node", "ls"), /node1 +Ready +Active +(Leader|Reachable)/);
    assert.match(await cli.ok("service", "logs", "two"), /listens on port 8080/);
    assert.match(
      (await cli.fails("service", "create", "--no-such-flag", "whoami")).stderr,
      /unknown option '--no-such-flag'/,
    );
    assert.equal(await cli.ok("service", "rm", "two"), "two");
    const run = await cli.run(["run", "--rm", "busybox", "sh", "-c", "echo hello; exit 4"]);
    assert.deepEqual([run.code, run.stdout], [4, "hello\n"]);
    assert.match(await cli.ok("network", "ls"), /ingress +overlay +swarm/);
    assert.match(await cli.ok("images"), /^whoami +latest/m);
    assert.match(await cli.ok("info"), /Swarm: active/);
  });

  it("leaves nothing on the nodes when it is removed", async () => {
    await on().ok("service", "rm", "web");
    await until("no container", async () => {
      for (const { name } of fixture.lab.nodes)
        if ((await docker(fixture.lab, name).ok("ps", "-aq")) !== "") return false;
      return true;
    });
    for (const { name } of fixture.lab.nodes) {
      await until(`${name} is clean`, async () => {
        const mounts = fixture.lab.exec(name, ["cat", "/proc/self/mounts"]).stdout.split("\n");
        return (
          mounts.filter((line) => line.startsWith("overlay") && line.includes(fixture.lab.dir)).length === 0
        );
      });
    }
  });
});
