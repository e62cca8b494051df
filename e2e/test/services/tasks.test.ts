import assert from "node:assert/strict";
import { ask } from "../../../tools/src/demo/requests.ts";
import { audit } from "../../src/audit.ts";
import { type Cli, creel, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

describe("tasks of services", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1 });
  afterEach(() => audit(fixture.lab));
  let cli: Cli;
  before(async () => {
    await loadUsual(fixture.lab);
    cli = docker(fixture.lab);
  });
  const ps = async (name: string, ...more: string[]) =>
    (await cli.ok("service", "ps", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}", ...more, name))
      .split("\n")
      .filter((line) => line !== "");
  const address = () => fixture.lab.nodes[0]!.address;
  const container = (name: string) =>
    cli.ok("ps", "-q", "--filter", `label=com.docker.swarm.service.name=${name}`);

  describe("with a health check", () => {
    const inside = async (script: string) => cli.ok("exec", await container("checked"), "sh", "-c", script);
    before(() =>
      cli.ok(
        ...["service", "create", "--detach", "--name", "checked", "--publish", "8090:8080"],
        ...["--health-cmd", "cat /tmp/well || { echo not well; exit 1; }", "--health-interval", "200ms"],
        ...["--health-retries", "2", "--health-start-period", "1m", "--health-start-interval", "100ms"],
        ...["--restart-delay", "100ms", "--stop-grace-period", "1s", "--mount", "type=tmpfs,target=/tmp"],
        ...[
          "busybox",
          "sh",
          "-c",
          "while :; do echo -e 'HTTP/1.0 200 OK\\r\\n\\r\\ntask: me' | nc -l -p 8080; done",
        ],
      ),
    );

    it("run, and get requests, only once they are healthy", async () => {
      await until("its process", () => inside("true").then(() => true));
      assert.match((await ps("checked"))[0]!, /^Starting /);
      assert.equal(
        await cli.ok("service", "ls", "--format", "{{.Replicas}}", "--filter", "name=checked"),
        "0/1",
      );
      await assert.rejects(ask(address(), 8090, 500));
      await inside("touch /tmp/well");
      await until("running", async () => /^Running /.test((await ps("checked"))[0]!));
      assert.equal((await until("an answer", () => ask(address(), 8090))).task, "me");
    });

    it("fail when they are unhealthy, and are followed by another", async () => {
      const first = await container("checked");
      await inside("rm /tmp/well");
      await until("the failure", async () =>
        (await ps("checked")).some((line) =>
          /^Failed .*task: non-zero exit \(\d+\): unhealthy container: .*(not well|No such file)/.test(line),
        ),
      );
      await until("another", async () => ![first, ""].includes(await container("checked")));
      await assert.rejects(ask(address(), 8090, 500));
    });
    after(() => cli.ok("service", "rm", "checked"));
  });

  describe("that end", () => {
    const ends = (name: string, command: string, ...more: string[]) =>
      cli.ok(
        ...["service", "create", "--detach", "--name", name, "--restart-delay", "50ms", ...more],
        ...["busybox", "sh", "-c", command],
      );
    const settled = (name: string, states: RegExp[]) =>
      until(`${name}: ${states.join(", ")}`, async () => {
        const lines = await ps(name);
        return lines.length === states.length && states.every((state, i) => state.test(lines[i]!));
      });

    it("are not followed by the condition none, nor on success by on-failure", async () => {
      await ends("never", "exit 3", "--restart-condition", "none");
      await ends("good", "exit 0", "--restart-condition", "on-failure");
      await settled("never", [/^Failed .*non-zero exit \(3\)/]);
      await settled("good", [/^Complete /]);
    });

    it("are followed as often as the policy says", async () => {
      await ends("thrice", "exit 4", "--restart-max-attempts", "2");
      await settled("thrice", [/^Failed/, /^Failed/, /^Failed/]);
      assert.equal(
        await cli.ok("service", "ls", "--format", "{{.Replicas}}", "--filter", "name=thrice"),
        "0/1",
      );
    });

    it("are kept as history, so many of a slot", async () => {
      await cli.ok("swarm", "update", "--task-history-limit", "2");
      await ends("often", "exit 5");
      await until(
        "history",
        async () => (await ps("often")).filter((line) => /^Failed/.test(line)).length >= 2,
      );
      const seen = new Set<number>();
      for (let i = 0; i < 10; i++)
        seen.add((await ps("often")).filter((line) => /^Failed/.test(line)).length);
      assert.ok(Math.max(...seen) <= 3, `${[...seen]} failed tasks kept`);
    });

    after(() => cli.ok("service", "rm", "never", "good", "thrice", "often"));
  });

  describe("are listed and read", () => {
    before(async () => {
      const script = "echo one; echo two >&2; echo three; sleep 1000";
      await cli.ok(
        ...[
          "service",
          "create",
          "-q",
          "--update-monitor",
          "100ms",
          "--name",
          "talks",
          "--label",
          "team=a",
          "--replicas",
          "2",
          "--stop-grace-period",
          "1s",
        ],
        ...["busybox", "sh", "-c", script],
      );
      await cli.ok(
        "service",
        "create",
        "-q",
        "--update-monitor",
        "100ms",
        "--name",
        "talks-too",
        "--mode",
        "global",
        "--tty",
        "--stop-grace-period",
        "1s",
        "busybox",
        "sh",
        "-c",
        script,
      );
    });
    const logs = async (...args: string[]) => {
      const { code, stdout, stderr } = await cli.run(["service", "logs", ...args]);
      assert.equal(code, 0, stderr);
      return { out: stdout.split("\n").filter(Boolean), err: stderr.split("\n").filter(Boolean) };
    };

    it("service logs, with each of its flags", async () => {
      const plain = await until("all lines", async () => {
        const read = await logs("talks");
        return read.out.length === 4 && read.err.length === 2 && read;
      });
      assert.match(plain.out[0]!, /^talks\.\d\.[0-9a-z]{12}@node1\s+\| (one|three)$/);
      assert.ok(plain.err.every((line) => line.endsWith("| two")));
      assert.deepEqual((await logs("--raw", "talks")).out.sort(), ["one", "one", "three", "three"]);
      const last = await logs("--raw", "--tail", "1", "talks");
      assert.equal(last.out.length + last.err.length, 2, "one line of each task");
      assert.match((await logs("--no-task-ids", "talks")).out[0]!, /^talks\.\d@node1\s+\|/);
      assert.match((await logs("--no-trunc", "talks")).out[0]!, /^talks\.\d\.[0-9a-z]{25}@node1\s+\|/);
      assert.match(
        (await logs("--no-resolve", "talks")).out[0]!,
        /^[0-9a-z]{25}\.\d\.[0-9a-z]{12}@[0-9a-z]{25}\s+\|/,
      );
      assert.match(
        (await logs("--timestamps", "--raw", "talks")).out[0]!,
        /^\d{4}-\d\d-\d\dT[\d:.]+Z (one|three)$/,
      );
      assert.match(
        (await logs("--details", "--raw", "talks")).out[0]!,
        /com\.docker\.swarm\.task\.id=[0-9a-z]{25}.* (one|three)$/,
      );
      assert.deepEqual((await logs("--since", "2100-01-01T00:00:00Z", "talks")).out, []);
      assert.equal((await logs("--since", "1h", "talks")).out.length, 4);
      const task = (await cli.ok("service", "ps", "-q", "talks")).split("\n")[0]!;
      assert.deepEqual((await logs("--raw", task)).out, ["one", "three"]);
      await cli.ok(
        ...["service", "create", "-d", "--name", "short", "--restart-condition", "none"],
        ...["busybox", "sh", "-c", "echo first; sleep 1; echo last"],
      );
      const short = await until("its task", async () =>
        (await cli.ok("service", "ps", "-q", "short")).trim(),
      );
      await until("its process", async () => /^(Running|Complete)/.test((await ps("short"))[0]!));
      assert.deepEqual((await logs("--follow", "--raw", short)).out, ["first", "last"]);
      await cli.ok("service", "rm", "talks", "short");
      assert.deepEqual(
        (await logs("--raw", "talks-too")).out.map((line) => line.trim()),
        ["one", "two", "three"],
      );
    });

    it("service ls and ps, by each of their filters", async () => {
      await cli.ok(
        "service",
        "create",
        "-q",
        "--update-monitor",
        "100ms",
        "--name",
        "talks",
        "--label",
        "team=a",
        "--stop-grace-period",
        "1s",
        "busybox",
        "sleep",
        "1000",
      );
      const id = await cli.ok("service", "inspect", "--format", "{{.ID}}", "talks");
      const ls = async (...filters: string[]) =>
        (
          await cli.ok(
            "service",
            "ls",
            "--format",
            "{{.Name}}",
            ...filters.flatMap((each) => ["--filter", each]),
          )
        )
          .split("\n")
          .sort();
      assert.deepEqual(await ls("name=talks"), ["talks", "talks-too"]);
      assert.deepEqual(await ls(`id=${id}`), ["talks"]);
      assert.deepEqual(await ls("label=team"), ["talks"]);
      assert.deepEqual(await ls("label=team=b"), [""]);
      assert.deepEqual(await ls("mode=global"), ["talks-too"]);
      assert.deepEqual(await ls("mode=replicated", "name=talks-too"), [""]);
      assert.equal(
        await cli.ok("service", "ls", "-q", "--filter", "name=talks-too"),
        (await cli.ok("service", "inspect", "--format", "{{.ID}}", "talks-too")).slice(0, 12),
      );
      assert.match(
        (await cli.fails("service", "ls", "--filter", "colour=red")).stderr,
        /invalid filter 'colour'/,
      );

      const [task] = JSON.parse(
        await cli.ok("inspect", (await cli.ok("service", "ps", "-q", "talks")).split("\n")[0]!),
      );
      const found = (...filters: string[]) =>
        cli.ok(
          "service",
          "ps",
          "-q",
          "--no-trunc",
          ...filters.flatMap((each) => ["--filter", each]),
          "talks",
        );
      assert.equal(await found(`id=${task.ID}`), task.ID);
      assert.equal(await found("name=talks.1"), task.ID);
      assert.equal(await found("node=node1", "desired-state=running"), task.ID);
      assert.equal(await found("desired-state=shutdown"), "");
      assert.match((await cli.fails("service", "ps", "talks", "nothing")).stderr, /no such service: nothing/);
      assert.match(
        await cli.ok("service", "ps", "--no-resolve", "--format", "{{.Node}}", "talks"),
        /^[0-9a-z]{25}$/,
      );
      assert.match(await cli.ok("service", "inspect", "--pretty", "talks"), /Service Mode:\s+Replicated/);
    });

    it("creel lists a job and a service alike", async () => {
      assert.match(await creel(fixture.lab).ok("service", "ls"), /talks-too +global +1\/1/);
      assert.equal(await cli.ok("service", "rm", "talks", "talks-too"), "talks\ntalks-too");
      await until("no container", async () => (await cli.ok("ps", "-aq")) === "");
    });
  });
});
