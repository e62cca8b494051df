import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { audit } from "../../src/audit.ts";
import { creel, docker, program } from "../../src/cli.ts";
import { killProgram, runningTasks } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

/** In every secret value of this file, and nowhere outside of memory. */
const MARKER = `marker${randomBytes(12).toString("hex")}`;
const SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
const QUICK = ["--update-monitor", "300ms", "--restart-delay", "100ms", "--stop-grace-period", "1s"];
const ON_NODE2 = ["--constraint", "node.hostname==node2"];

describe("secrets and configs", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 2, managers: 1 });
  afterEach(() => audit(fixture.lab));
  const client = (node = "node1") => docker(fixture.lab, node);
  const inHost = (node: string, ...command: string[]) => fixture.lab.exec(node, command).stdout;
  /** The tmpfs of containers with secrets or configs on a node. */
  const tmpfs = (node: string) =>
    inHost(node, "cat", "/proc/mounts")
      .split("\n")
      .filter((line) => /\/containers\/[0-9a-f]+\/files tmpfs /.test(line));
  const create = async (kind: "secret" | "config", name: string, value: string, ...options: string[]) => {
    const { code, stderr, stdout } = await client().run([kind, "create", ...options, name, "-"], {
      input: value,
    });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  const refused = async (text: RegExp, args: string[], input = "") => {
    const { code, stderr } = await client().run(args, { input });
    assert.notEqual(code, 0, args.join(" "));
    assert.match(stderr, text);
    assert.ok(!stderr.includes(MARKER), stderr);
  };
  /** The container of a service's one running task, on node2. */
  const containerOf = (service: string, before = "") =>
    until(`${service} runs`, async () => {
      const tasks = await runningTasks(fixture.lab, "node1", service);
      const id = (
        tasks[0] as unknown as { Status: { ContainerStatus?: { ContainerID: string } } } | undefined
      )?.Status.ContainerStatus?.ContainerID;
      return tasks.length === 1 && id !== before && id;
    });
  const inside = async (container: string, command: string) =>
    await client("node2").ok("exec", container, "sh", "-c", command);

  before(async () => {
    await loadUsual(fixture.lab);
    await client().ok("swarm", "update", "--snapshot-interval", "20");
  });

  it("are made, listed, changed and removed by docker and by creel; only a config shows its value", async () => {
    const own = creel(fixture.lab);
    const id = await create("secret", "key", `${MARKER}-1`, "--label", "team=shop");
    await create("config", "conf", "level=debug");
    assert.equal(await client().ok("secret", "ls", "-q", "--filter", "label=team=shop"), id);
    const [secret] = JSON.parse(await client().ok("secret", "inspect", "key"));
    assert.deepEqual(secret.Spec, { Name: "key", Labels: { team: "shop" } });
    const [config] = JSON.parse(await client().ok("config", "inspect", "conf"));
    assert.equal(Buffer.from(config.Spec.Data, "base64").toString(), "level=debug");

    const file = join(fixture.lab.dir, "conf");
    writeFileSync(file, "from a file");
    await own.ok("config", "create", "-l", "a=b", "other", file);
    await own.ok("config", "update", "--label-add", "c=d", "--label-rm", "a", "other");
    assert.equal(await own.ok("config", "ls", "--filter", "label=c=d", "--format", "{{.Name}}"), "other");
    assert.equal(await own.ok("inspect", "-f", "{{json .Spec.Labels}}", "other"), '{"c":"d"}');
    await own.ok("config", "rm", "other");
  });

  it("are refused with the cause where they cannot be", async () => {
    const value = `${MARKER}-refused`;
    await refused(/secret key already exists/, ["secret", "create", "key", "-"], value);
    await refused(/only 64 \[a-zA-Z0-9-_\.\] characters/, ["secret", "create", "b@d", "-"], value);
    await refused(/less than 512000 bytes/, ["secret", "create", "big", "-"], value.padEnd(1 << 20, "x"));
    await refused(
      /unknown template driver jinja/,
      [...["config", "create", "--template-driver", "jinja", "t", "-"]],
      value,
    );
    await refused(/secret not found: nokey/, [
      ...["service", "create", "--name", "x", "--secret", "nokey", "busybox"],
    ]);
    await refused(/may not hold \.\./, [
      ...["service", "create", "--name", "x", "--secret", "source=key,target=../../etc/shadow", "busybox"],
    ]);
    const rest = fixture.lab.rest("node1");
    const reference = {
      File: { Name: "x", UID: "0", GID: "0", Mode: 292 },
      SecretID: "gone",
      SecretName: "gone",
    };
    const spec = { Name: "x", TaskTemplate: { ContainerSpec: { Image: "busybox", Secrets: [reference] } } };
    await assert.rejects(rest.post("/services/create", spec), /secret not found: gone/);
    await assert.rejects(rest.post("/configs/create", { Name: "empty", Data: "" }), /larger than 0/);
    await assert.rejects(
      rest.post("/secrets/create", { Name: "v", Driver: { Name: "vault" } }),
      /secret driver vault is a plugin/,
    );
    const plain = rest.post("/secrets/create", { Name: "plain", Data: value });
    await assert.rejects(
      plain,
      (error: Error) => /not base64/.test(error.message) && !error.message.includes(MARKER),
    );
  });

  it("are files in memory, on the task's node alone, with owner, mode and expanded templates", async () => {
    const text = '{{.Service.Name}}/{{.Node.Hostname}}/{{.Task.Slot}}/{{env "LEVEL"}}/{{secret "pass"}}';
    await create("config", "templ", text, "--template-driver", "golang");
    await client().ok(
      ...["service", "create", "-q", "--name", "app", ...QUICK, ...ON_NODE2, "--env", "LEVEL=high"],
      ...["--secret", "source=key,target=pass,uid=1000,gid=2000,mode=0400", "--config", "conf"],
      ...["--secret", "source=key,target=/etc/keys/own", "--config", "source=templ,target=/etc/app.conf"],
      ...["busybox", "sh", "-c", SLEEP],
    );
    const container = await containerOf("app");
    assert.equal(
      await inside(container, "stat -c '%u %g %a' /run/secrets/pass /etc/keys/own; cat /conf"),
      "1000 2000 400\n0 0 444\nlevel=debug",
    );
    assert.equal(await inside(container, "cat /run/secrets/pass /etc/keys/own"), `${MARKER}-1`.repeat(2));
    assert.equal(await inside(container, "cat /etc/app.conf"), `app/node2/1/high/${MARKER}-1`);
    const mounts = await inside(container, "mount");
    for (const path of ["/run/secrets/pass", "/etc/keys/own", "/etc/app.conf", "/conf"]) {
      assert.match(mounts, new RegExp(`^tmpfs on ${path} type tmpfs \\(ro,nosuid,nodev,relatime`, "m"));
    }
    await assert.rejects(inside(container, "echo x > /run/secrets/pass"), /Read-only/);
    assert.deepEqual([tmpfs("node1").length, tmpfs("node2").length], [0, 1]);
    const [place] = tmpfs("node2")[0]!.split(" ").slice(1);
    assert.equal(inHost("node2", "stat", "-c", "%a", place!).trim(), "700");
    const { Mounts, Config } = await fixture.lab
      .rest("node2")
      .get<{ Mounts: unknown[]; Config: object }>(`/containers/${container}/json`);
    assert.ok(!JSON.stringify([Mounts, Config]).includes(MARKER));
    await refused(/secret 'key' is in use by the following service: app/, ["secret", "rm", "key"]);
    await refused(/config 'conf' is in use by the following service: app/, ["config", "rm", "conf"]);
  });

  it("outlive the daemon and the engine, and one that is taken from a service is gone", async () => {
    const before = await containerOf("app");
    await killProgram(fixture.lab, "node2", "creeld");
    await killProgram(fixture.lab, "node2", "engine");
    assert.equal(await containerOf("app"), before);
    assert.equal(await inside(before, "cat /run/secrets/pass"), `${MARKER}-1`);
    assert.equal(tmpfs("node2").length, 1);

    const update = ["service", "update", "-q", "--secret-rm", "key", "--config-rm", "templ"];
    await client().ok(
      ...update,
      "--config-add",
      "source=conf,target=/etc/conf",
      "--config-rm",
      "conf",
      "app",
    );
    const after = await containerOf("app", before);
    assert.equal(await inside(after, "cat /etc/conf; ls /run/secrets 2>/dev/null; true"), "level=debug");
    await until("the old task's are gone", async () => tmpfs("node2").length === 1);
    await client().ok("config", "rm", "templ");
  });

  it("come to a new task that takes a killed one's place", async () => {
    await client().ok("service", "update", "-q", "--secret-add", "key", "app");
    const before = await containerOf("app");
    await client("node2").ok("kill", before);
    const after = await containerOf("app", before);
    assert.equal(await inside(after, "cat /run/secrets/key"), `${MARKER}-1`);
    await until("one task's files", async () => tmpfs("node2").length === 1);
  });

  it("are rotated: a new revision by an update of all services, and the old one is forgotten", async () => {
    const own = creel(fixture.lab);
    const before = await containerOf("app");
    const { code, stdout, stderr } = await own.run(["secret", "rotate", "key", "--from", "-"], {
      input: `${MARKER}-2`,
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^secret key: revision 1 to 2/m);
    assert.match(stdout, /^secret key is at revision 2$/m);
    const after = await containerOf("app", before);
    assert.equal(await inside(after, "cat /run/secrets/key"), `${MARKER}-2`);
    assert.equal(
      await client().ok("service", "inspect", "-f", "{{.UpdateStatus.State}}", "app"),
      "completed",
    );
    const events = ["events", "--since", "1h", "--until", "0s", "--filter", "secret=key"];
    const told = () => client().ok(...events, "--format", "{{.Type}} {{.Action}} {{json .Actor.Attributes}}");
    // docker asks for whole seconds: what happened in this one is told in the next
    await until("the update is told", async () => (await told()).includes("secret update"));
    assert.equal(
      await told(),
      'secret create {"name":"key"}\nsecret update {"name":"key","revision.new":"2","revision.old":"1"}',
    );
    await own.ok("service", "update", "-q", "--label-add", "a=b", "app");
    assert.equal(await containerOf("app"), after, "a client that knows of no revisions changes nothing");
  });

  it("go back to the revision before when a service's update fails, and say why", async () => {
    const own = creel(fixture.lab);
    const script = `grep -q bad /etc/rules && exit 7; ${SLEEP}`;
    await create("config", "rules", "good");
    const rules = ["--config", "source=rules,target=/etc/rules"];
    await client().ok(
      ...["service", "create", "-q", "--name", "picky", ...QUICK, ...ON_NODE2, ...rules],
      ...["busybox", "sh", "-c", script],
    );
    const { code, stdout, stderr } = await own.run(["config", "rotate", "rules", "--from", "-"], {
      input: "bad",
    });
    assert.equal(code, 1, stdout);
    assert.match(stdout, /^config rules is back at revision 1$/m);
    assert.match(stderr, /rotation of config rules was undone: service picky: .*non-zero exit \(7\)/);
    const [config] = JSON.parse(await client().ok("config", "inspect", "rules"));
    assert.equal(Buffer.from(config.Spec.Data, "base64").toString(), "good");
    await until("it runs as before", async () => {
      const container = await containerOf("picky");
      return (await inside(container, "cat /etc/rules")) === "good";
    });
    const again = await own.run(["config", "rotate", "rules", "--from", "-"], { input: "better" });
    assert.equal(again.code, 0, again.stderr);
    await client().ok("service", "rm", "picky");
  });

  it("whose template is wrong reject the task, without a value in the words", async () => {
    await create("config", "wrong", '{{range secret "key"}}{{end}}', "--template-driver", "golang");
    await client().ok(
      ...["service", "create", "-q", "-d", "--name", "wrong", "--secret", "key", ...ON_NODE2],
      ...["--restart-condition", "none", "--config", "wrong", "busybox", "sh", "-c", SLEEP],
    );
    const err = await until("it is rejected", async () => {
      const shown = await client().ok("service", "ps", "--no-trunc", "--format", "{{.Error}}", "wrong");
      return shown !== "" && shown;
    });
    assert.match(err, /expanding config wrong failed: .*can't iterate/);
    assert.ok(!err.includes(MARKER));
    await client().ok("service", "rm", "wrong");
  });

  it("leave no trace of a secret's value outside of memory", async () => {
    const answers = ["/secrets", "/secrets/key", "/services", "/tasks", "/creel/secrets/key/rotation"];
    const encoded = Buffer.from(MARKER).toString("base64").slice(4, 20);
    const container = await containerOf("app");
    for (const node of ["node1", "node2"]) {
      const texts = [await client(node).ok("events", "--since", "1h", "--until", "0s")];
      if (node === "node2") texts.push(await client(node).ok("inspect", container));
      else for (const path of answers) texts.push(JSON.stringify(await fixture.lab.rest(node).get(path)));
      for (const text of texts) assert.ok(!text.includes(MARKER) && !text.includes(encoded), text);
    }
    const snapshots = program("find", [fixture.lab.dir, "-name", "*.snapshot"]);
    assert.notEqual(snapshots.stdout, "", "a snapshot is among what is looked through");
    const places = [fixture.lab.dir, fixture.lab.execRoots];
    const found = program("grep", ["-rlaE", "--exclude=conf", `${MARKER}|${encoded}`, ...places]);
    assert.equal(found.stdout, "");
    assert.equal(found.code, 1, found.stderr);
    const { code, stdout } = program("grep", ["-rla", "com.docker.swarm.service.name", fixture.lab.dir]);
    assert.ok(code === 0 && stdout !== "", "what is on the disks is found by it");
  });

  it("are gone with the last task", async () => {
    await client().ok("service", "rm", "app");
    await until("nothing is mounted", async () => tmpfs("node2").length === 0);
    await client().ok("secret", "rm", "key");
    await client().ok("config", "rm", "conf", "rules", "wrong");
    assert.equal(await client().ok("secret", "ls", "-q"), "");
  });
});
