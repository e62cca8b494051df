import assert from "node:assert/strict";
import { audit } from "../../src/audit.ts";
import { creel, docker } from "../../src/cli.ts";
import { type ClusterTask, nodesBy, runningTasks, Traffic } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const PORT = 8080;
const GENERIC = ["GPU=g1", "GPU=g2", "SSD=3"].flatMap((entry) => ["--node-generic-resource", entry]);
type Placed = ClusterTask & {
  GenericResources?: {
    NamedResourceSpec?: { Kind: string; Value: string };
    DiscreteResourceSpec?: { Kind: string; Value: number };
  }[];
};

describe("placement, drains and rebalance", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3, flags: [...GENERIC, "--label", "tier=gold"] });
  afterEach(() => audit(fixture.lab));
  const cli = () => docker(fixture.lab);
  let names = new Map<string, string>();

  before(async () => {
    await loadUsual(fixture.lab);
    names = new Map([...(await nodesBy(fixture.lab, "node1"))].map(([name, { ID }]) => [ID, name]));
  });
  afterEach(async () => {
    const all = (await cli().ok("service", "ls", "-q")).split("\n").filter((id) => id !== "");
    if (all.length > 0) await cli().ok("service", "rm", ...all);
    for (const node of names.values()) await cli().ok("node", "update", "--availability", "active", node);
    await until("all tasks are gone", async () => {
      const tasks = await fixture.lab.rest("node1").get<unknown[]>("/tasks");
      return tasks.length === 0;
    });
  });

  const create = (name: string, ...options: string[]) =>
    cli().ok("service", "create", "-d", "--no-resolve-image", "--name", name, ...options, "whoami");
  const tasks = (name: string) => runningTasks(fixture.lab, "node1", name) as Promise<Placed[]>;
  /** Names of the nodes of the running tasks, once these are as many. */
  async function placed(name: string, count: number): Promise<string[]> {
    const found = await until(`${count} of ${name}`, async () => {
      const running = await tasks(name);
      return running.length === count && running;
    });
    return found.map(({ NodeID }) => names.get(NodeID)!).sort();
  }
  /** The word of the tasks that have no place, once there are so many. */
  async function refused(name: string, count: number): Promise<string> {
    const filters = JSON.stringify({ service: [name], "desired-state": ["running"] });
    const path = `/tasks?filters=${encodeURIComponent(filters)}`;
    const errs = await until(`${count} of ${name} have no place`, async () => {
      const all = await fixture.lab.rest("node1").get<Placed[]>(path);
      const words = all.flatMap(({ Status }) => (Status.State === "pending" ? (Status.Err ?? []) : []));
      return words.length === count && words;
    });
    return [...new Set(errs)].join(" / ");
  }
  const drain = (node: string) => cli().ok("node", "update", "--availability", "drain", node);

  it("goes by constraints, labels, spread, and how many may be on a node", async () => {
    await cli().ok("node", "update", "--label-add", "zone=a", "node1");
    await cli().ok("node", "update", "--label-add", "zone=a", "--label-add", "disk=ssd", "node2");
    await cli().ok("node", "update", "--label-add", "zone=b", "node3");
    await create("zoned", "--replicas", "4", "--placement-pref", "spread=node.labels.zone");
    await create("ssd", "--replicas", "2", "--constraint", "node.labels.disk==ssd");
    await create(
      "other",
      "--replicas",
      "2",
      "--constraint",
      "node.hostname!=node2",
      "--constraint",
      "node.role==manager",
    );
    await create("few", "--replicas", "4", "--replicas-max-per-node", "1");
    await create("gold", "--constraint", "engine.labels.tier==gold", "--constraint", "node.hostname==node2");
    await create("none", "--constraint", "node.platform.os==plan9");
    const zoned = await placed("zoned", 4);
    assert.deepEqual(
      zoned.filter((node) => node === "node3"),
      ["node3", "node3"],
      `one zone of two has half of the tasks: ${zoned}`,
    );
    assert.deepEqual(await placed("ssd", 2), ["node2", "node2"]);
    assert.deepEqual(await placed("other", 2), ["node1", "node3"]);
    assert.deepEqual(await placed("gold", 1), ["node2"]);
    assert.deepEqual(await placed("few", 3), ["node1", "node2", "node3"]);
    assert.equal(await refused("few", 1), "no suitable node (max replicas per node limit exceed)");
    assert.equal(
      await refused("none", 1),
      "no suitable node (scheduling constraints not satisfied on 3 nodes)",
    );
  });

  it("refuses a constraint that does not parse, with the place and a hint", async () => {
    for (const [constraint, word] of [
      ["node.rle==manager", /at character 1: key 'node\.rle' is unknown; the keys are node\.id/],
      ["node.role=manager", /at character 18: constraint expected one operator from ==, !=/],
    ] as const) {
      const { stderr } = await cli().fails(
        "service",
        "create",
        "--name",
        "x",
        "--constraint",
        constraint,
        "whoami",
      );
      assert.match(stderr, word);
      const body = {
        Name: "x",
        TaskTemplate: { ContainerSpec: { Image: "whoami" }, Placement: { Constraints: [constraint] } },
        Mode: { Replicated: { Replicas: 1 } },
      };
      await assert.rejects(fixture.lab.rest("node1").post("/services/create", body), /400|at character/);
    }
  });

  it("counts reservations, host ports and generic resources, and says what is missing", async () => {
    const [node] = await fixture.lab
      .rest("node1")
      .get<{ Description: { Resources: { MemoryBytes: number; GenericResources: unknown[] } } }[]>("/nodes");
    const { MemoryBytes, GenericResources } = node!.Description.Resources;
    assert.equal(GenericResources.length, 3);
    const most = String(Math.floor(MemoryBytes * 0.6));
    await create("big", "--replicas", "4", "--reserve-memory", most, "--limit-pids", "50");
    await create("port", "--replicas", "4", "--publish", "mode=host,published=9000,target=8080");
    await create("gpu", "--replicas", "7", "--generic-resource", "GPU=1", "--generic-resource", "SSD=1");
    await create("log", "--log-driver", "fluentd");
    assert.deepEqual(await placed("big", 3), ["node1", "node2", "node3"]);
    assert.equal(await refused("big", 1), "no suitable node (insufficient resources on 3 nodes)");
    assert.deepEqual(await placed("port", 3), ["node1", "node2", "node3"]);
    assert.equal(await refused("port", 1), "no suitable node (host-mode port already in use on 3 nodes)");
    assert.equal(await refused("log", 1), "no suitable node (missing plugin on 3 nodes)");
    const why = await creel(fixture.lab).ok("why", "service", "big");
    assert.match(why, /needs \d+\.\d GiB of memory, largest free \d+\.\d GiB on node\d/);

    assert.equal(await inspected("big", "{{.HostConfig.PidsLimit}}"), "50");
    await placed("gpu", 6);
    const got = (await tasks("gpu")).map(({ NodeID, GenericResources: all = [] }) => {
      const named = all.flatMap(({ NamedResourceSpec }) => NamedResourceSpec?.Value ?? []);
      const counted = all.flatMap(({ DiscreteResourceSpec }) => DiscreteResourceSpec?.Value ?? []);
      assert.deepEqual([named.length, counted], [1, [1]]);
      return `${names.get(NodeID)} ${named}`;
    });
    assert.deepEqual(got.sort(), ["node1 g1", "node1 g2", "node2 g1", "node2 g2", "node3 g1", "node3 g2"]);
    const env = await inspected("gpu", "{{json .Config.Env}}");
    assert.match(env, /"DOCKER_RESOURCE_GPU=g[12]"/);
    assert.match(env, /"DOCKER_RESOURCE_SSD=1"/);
  });

  it("leaves paused nodes as they are, and avoids one where a service keeps failing", async () => {
    await create("still", "--replicas", "3");
    await placed("still", 3);
    await cli().ok("node", "update", "--availability", "pause", "node3");
    await cli().ok("service", "scale", "-d", "still=7");
    assert.equal((await placed("still", 7)).filter((node) => node === "node3").length, 1);
    await cli().ok("node", "update", "--availability", "active", "node3");

    const script = '[ "$NODE" = node3 ] && exit 1; trap "exit 0" TERM; sleep 10000 & wait';
    const options = ["--name", "picky", "--replicas", "9", "--restart-delay", "0s"];
    const env = ["--env", "NODE={{.Node.Hostname}}"];
    await cli().ok(
      "service",
      "create",
      "-d",
      "--no-resolve-image",
      ...options,
      ...env,
      "busybox",
      "sh",
      "-c",
      script,
    );
    await until("all run where they do not fail", async () => {
      const nodes = (await tasks("picky")).map(({ NodeID }) => names.get(NodeID));
      return nodes.length === 9 && !nodes.includes("node3");
    });
    const filters = JSON.stringify({ service: ["picky"], "desired-state": ["shutdown"] });
    const ended = await fixture.lab
      .rest("node1")
      .get<Placed[]>(`/tasks?filters=${encodeURIComponent(filters)}`);
    assert.ok(ended.length >= 5 && ended.every(({ NodeID }) => names.get(NodeID) === "node3"));
  });

  it("a drain moves the one replica of a service that stops first in updates; not one request fails", async () => {
    await create("web", "--publish", `${PORT}:8080`, "--update-order", "stop-first");
    const [first] = await placed("web", 1);
    const others = fixture.lab.nodes.filter(({ name }) => name !== first);
    await until("the port answers everywhere", async () => {
      const probe = new Traffic([...fixture.lab.nodes], PORT, 5, 500);
      await new Promise((resolve) => setTimeout(resolve, 200));
      return (await probe.stop()).failures.length === 0;
    });
    const traffic = new Traffic(others, PORT, 5);
    await drain(first!);
    await until("it runs elsewhere, alone", async () => {
      const { containers } = await containersOn(first!);
      const now = await tasks("web");
      return containers === 0 && now.length === 1 && names.get(now[0]!.NodeID) !== first;
    });
    await traffic.stop();
    assert.deepEqual([traffic.total > 50, traffic.failures], [true, []]);
  });

  it("a drain stops first where the service's label asks for it", async () => {
    await create("lone", "--label", "creel.drain=stop-first", "--stop-grace-period", "1s");
    const [first] = await placed("lone", 1);
    await drain(first!);
    let together = 0;
    await until("it runs elsewhere", async () => {
      const counts = await Promise.all([...names.values()].map(containersOn));
      together = Math.max(
        together,
        counts.reduce((sum, { containers }) => sum + containers, 0),
      );
      const now = await tasks("lone");
      return now.length === 1 && names.get(now[0]!.NodeID) !== first;
    });
    assert.equal(together, 1, "two of its containers ran at once");
  });

  it("rebalance moves as many tasks as it may to a node that came back", async () => {
    await drain("node3");
    await create("web", "--replicas", "6", "--update-parallelism", "1");
    assert.equal((await placed("web", 6)).includes("node3"), false);
    await cli().ok("node", "update", "--availability", "active", "node3");
    const rebalance = (...options: string[]) =>
      creel(fixture.lab, "node2").ok("cluster", "rebalance", ...options);
    const plan = await rebalance("--max", "9", "--dry-run");
    assert.equal(plan.split("\n").length, 1 + 2, plan);
    assert.match(plan, /web\.\d +node[12] +node3/);
    assert.equal((await placed("web", 6)).includes("node3"), false, "a dry run moves nothing");
    await rebalance("--max", "1");
    assert.deepEqual((await placed("web", 6)).filter((node) => node === "node3").length, 1);
    await rebalance("--max", "9");
    assert.deepEqual(await placed("web", 6), ["node1", "node1", "node2", "node2", "node3", "node3"]);
    assert.match(await rebalance("--max", "9"), /nothing to move/);
    const { stderr } = await creel(fixture.lab).fails("cluster", "rebalance", "--max", "0");
    assert.match(stderr, /Max|max/);
  });

  /** Of the service's container on the first node. */
  async function inspected(service: string, format: string): Promise<string> {
    const filter = `label=com.docker.swarm.service.name=${service}`;
    const [container] = (await cli().ok("ps", "-q", "--filter", filter)).split("\n");
    return await cli().ok("inspect", "--format", format, container!);
  }

  async function containersOn(node: string): Promise<{ containers: number }> {
    const found = await fixture.lab.rest(node).get<unknown[]>("/containers/json");
    return { containers: found.length };
  }
});
