import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { creel, docker } from "../../src/cli.ts";
import { killProgram, nodesBy, processIds, runningTasks } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const KEY = /SWMKEY-1-[A-Za-z0-9+/]{43}/;

describe("managers that lock themselves, and the last one of them", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 4, managers: 3 });
  const on = (node: string) => docker(fixture.lab, node);
  const state = (node: string) => on(node).ok("info", "--format", "{{.Swarm.LocalNodeState}}");
  const unlock = (node: string, key: string) => on(node).run(["swarm", "unlock"], { input: `${key}\n` });

  const identity = (node: string) =>
    readFileSync(join(fixture.lab.dir, node, "data/swarm/identity.json"), "utf8");

  /** All that the node has on its disk of the cluster, in one string. */
  function disk(node: string): string {
    const dir = join(fixture.lab.dir, node, "data/swarm");
    const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
    const texts = files.map(({ parentPath, name }) => {
      try {
        return readFileSync(join(parentPath, name), "latin1");
      } catch {
        // it was renamed or removed meanwhile
        return "";
      }
    });
    return texts.join("\n");
  }

  /** Kills creeld; the lab's supervisor starts another. */
  async function restart(node: string): Promise<void> {
    await killProgram(fixture.lab, node, "creeld");
  }

  let keys: string[];
  before(async () => {
    const secrets = (node: string) =>
      (JSON.parse(identity(node)) as { keys: { tls: string; raft: string } }).keys;
    keys = ["node1", "node2"].flatMap((node) => [secrets(node).raft, secrets(node).tls.split("\n")[1]!]);
    await loadUsual(fixture.lab);
    const cli = on("node1");
    await cli.ok("service", "create", "-q", "--name", "web", "--replicas", "4", "whoami");
  });

  it("have nothing to unlock, and no key, at first", async () => {
    assert.match((await unlock("node1", "SWMKEY-1-x")).stderr, /swarm is not locked/);
    assert.match((await on("node1").fails("swarm", "unlock-key")).stderr, /no unlock key is set/i);
    assert.match(
      (await on("node1").fails("swarm", "unlock-key", "--rotate")).stderr,
      /cannot rotate because autolock is not turned on/,
    );
    for (const key of keys.slice(0, 2))
      assert.ok(disk("node1").includes(key), "the search finds what is there");
  });

  it("seal their keys once autolock is on; workers keep theirs", async () => {
    const said = await on("node2").ok("swarm", "update", "--autolock=true");
    const [key] = KEY.exec(said)!;
    assert.equal(await on("node1").ok("swarm", "unlock-key", "-q"), key);
    await until("all is sealed", async () =>
      ["node1", "node2", "node3"].every((node) => {
        const text = disk(node);
        return [...keys, key, "PRIVATE KEY"].every((secret) => !text.includes(secret));
      }),
    );
    assert.match(disk("node4"), /PRIVATE KEY/);
  });

  it("are locked when they start again, and do nothing until they are unlocked; containers run on", async () => {
    const before = await processIds(fixture.lab, "node2");
    assert.ok(before.size > 0);
    await restart("node2");
    assert.equal(await state("node2"), "locked");
    for (const words of [
      ["node", "ls"],
      ["swarm", "unlock-key"],
      ["service", "ls"],
      ["swarm", "ca"],
    ]) {
      assert.match((await on("node2").fails(...words)).stderr, /Swarm is encrypted and needs to be unlocked/);
    }
    assert.match(
      (await on("node2").fails("swarm", "init", "--force-new-cluster")).stderr,
      /Swarm is encrypted and needs to be unlocked/,
    );
    assert.match((await on("node2").fails("swarm", "leave")).stderr, /Swarm is encrypted and locked/);
    assert.match((await unlock("node2", "nonsense")).stderr, /invalid unlock key/);
    assert.match(
      (await unlock("node2", `SWMKEY-1-${"a".repeat(43)}`)).stderr,
      /swarm could not be unlocked: invalid key provided/,
    );
    assert.deepEqual(await processIds(fixture.lab, "node2"), before);
    const key = await on("node1").ok("swarm", "unlock-key", "-q");
    assert.equal((await unlock("node2", key)).code, 0);
    await on("node2").ok("node", "ls");
    assert.deepEqual(await processIds(fixture.lab, "node2"), before);
  });

  it("take another key, and are open again without one", async () => {
    const old = await on("node1").ok("swarm", "unlock-key", "-q");
    const sealed = identity("node2");
    const [key] = KEY.exec(await on("node1").ok("swarm", "unlock-key", "--rotate"))!;
    assert.notEqual(key, old);
    await until("node2 has sealed anew", async () => identity("node2") !== sealed);
    await restart("node2");
    assert.match((await unlock("node2", old)).stderr, /invalid key provided/);
    const words = creel(fixture.lab, "node2");
    assert.equal((await words.run(["swarm", "unlock"], { input: `${key}\n` })).code, 0);
    assert.equal(await words.ok("swarm", "unlock-key", "-q"), key);

    await on("node1").ok("node", "promote", "node4");
    await until("a new manager seals its keys", async () => !disk("node4").includes("PRIVATE KEY"));
    await on("node1").ok("node", "demote", "node4");
    await until("a worker does not", async () => disk("node4").includes("PRIVATE KEY"));
    await on("node1").ok("swarm", "update", "--autolock=false");
    await until("keys in the clear", async () =>
      ["node1", "node2"].every((node) => disk(node).includes("PRIVATE KEY")),
    );
    await restart("node2");
    await until("node2 is back", async () => (await state("node2")) === "active");
  });

  it("go on alone when the others are lost, with all there was", async () => {
    await on("node1").ok("node", "update", "--label-add", "zone=a", "node4");
    const services = await on("node2").ok("service", "ls", "--format", "{{.ID}} {{.Name}}");
    const before = await processIds(fixture.lab, "node4");
    assert.match(
      (await on("node4").fails("swarm", "init", "--force-new-cluster")).stderr,
      /Worker nodes can't be used/,
    );
    await Promise.all([fixture.lab.kill("node1"), fixture.lab.kill("node3")]);
    const to = fixture.lab.node("node2").address;
    assert.match(
      await on("node2").ok("swarm", "init", "--force-new-cluster", "--advertise-addr", to),
      /Swarm initialized/,
    );
    assert.equal(await on("node2").ok("service", "ls", "--format", "{{.ID}} {{.Name}}"), services);
    assert.equal(await on("node2").ok("node", "inspect", "node4", "--format", "{{.Spec.Labels.zone}}"), "a");
    await until("the lost manager is none any more", async () => {
      const lost = (await nodesBy(fixture.lab, "node2")).get("node1");
      return lost?.Spec.Role === "worker" && !lost.ManagerStatus;
    });
    await on("node2").ok("service", "scale", "-d", "web=2");
    await until("two replicas", async () => (await runningTasks(fixture.lab, "node2", "web")).length === 2);
    const after = await processIds(fixture.lab, "node4");
    const kept = [...before].filter(([name, pid]) => after.get(name) === pid);
    assert.ok(kept.length > 0, "node4's tasks have stayed");

    await fixture.lab.restart("node1");
    await until("node1 is a worker of the new cluster", async () => {
      const info = await on("node1").ok(
        "info",
        "--format",
        "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}",
      );
      const node = (await nodesBy(fixture.lab, "node2")).get("node1");
      return info === "active false" && node?.Status.State === "ready";
    });
    await on("node2").ok("node", "promote", "node1");
    await until(
      "node1 is a manager again",
      async () =>
        (await nodesBy(fixture.lab, "node2")).get("node1")?.ManagerStatus?.Reachability === "reachable",
    );
  });
});
