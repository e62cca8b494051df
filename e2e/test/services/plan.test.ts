import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskView } from "../../../tools/src/demo/service.ts";
import { audit } from "../../src/audit.ts";
import { creel, docker } from "../../src/cli.ts";
import { useLab } from "../../src/fixture.ts";
import { loadUsual } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

interface Plan {
  Services: {
    Name: string;
    Change: string;
    Counts: Record<string, number>;
    Tasks: { Action: string; Slot?: number; TaskID?: string; Node?: { Hostname: string; ID: string } }[];
  }[];
  Fits: boolean;
  WithoutANode: { Fits: boolean; Losses: { Node: { Hostname: string } }[] };
}

describe("a plan and what comes of it", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 3 });
  before(() => loadUsual(fixture.lab));
  afterEach(() => audit(fixture.lab));
  const on = (node = "node1") => docker(fixture.lab, node);

  /** The plan as JSON, asked of a manager that need not be the leader. */
  const plan = async (...words: string[]): Promise<Plan> => {
    const { stdout, stderr, code } = await creel(fixture.lab, "node2").run([
      "plan",
      ...words.slice(0, 2),
      "--json",
      ...words.slice(2),
    ]);
    assert.ok(code === 0 || code === 2, stderr);
    const made = JSON.parse(stdout) as Plan;
    assert.equal(code, made.Fits ? 0 : 2);
    return made;
  };
  const planned = (made: Plan, name: string) =>
    made.Services.find(({ Name }) => Name === name)!
      .Tasks.filter(({ Node }) => Node !== undefined)
      .map(({ Slot, Node }) => `${Slot} ${Node!.ID}`)
      .sort();
  /** Slot and node of the running tasks, once these are as many as are wanted. */
  const running = async (name: string): Promise<string[]> => {
    const filters = JSON.stringify({ service: [name], "desired-state": ["running"] });
    const path = `/tasks?filters=${encodeURIComponent(filters)}`;
    type Task = TaskView & { Slot: number; NodeID: string };
    const tasks = await fixture.lab.rest("node1").get<Task[]>(path);
    return tasks
      .filter(({ Status }) => Status.State === "running")
      .map(({ Slot, NodeID }) => `${Slot} ${NodeID}`)
      .sort();
  };
  const comesToPass = async (made: Plan, name: string) => {
    const wanted = planned(made, name);
    await until("the plan's places", async () => {
      assert.deepEqual(await running(name), wanted);
      return true;
    });
  };

  it("agree for a new service, more and fewer tasks, another constraint, a drain and a removal", async () => {
    const create = ["--name", "web", "--replicas", "5", "--update-parallelism", "0"];
    let made = await plan("service", "create", ...create, "whoami");
    assert.equal((await on().ok("service", "ls", "-q")).trim(), "", "a plan makes nothing");
    assert.deepEqual([made.Services[0]!.Counts.create, made.Fits, made.WithoutANode.Fits], [5, true, true]);
    await on().ok("service", "create", "-q", ...create, "whoami");
    await comesToPass(made, "web");

    made = await plan("service", "scale", "web=8");
    assert.deepEqual([made.Services[0]!.Counts.create, made.Services[0]!.Counts.keep], [3, 5]);
    await on().ok("service", "scale", "-d", "web=8");
    await comesToPass(made, "web");

    made = await plan("service", "scale", "web=4");
    assert.deepEqual([made.Services[0]!.Counts.stop, made.Services[0]!.Counts.keep], [4, 4]);
    await on().ok("service", "scale", "-d", "web=4");
    await comesToPass(made, "web");

    const constraint = ["--constraint-add", "node.hostname!=node3"];
    made = await plan("service", "update", ...constraint, "web");
    assert.ok(planned(made, "web").length === 4 && (made.Services[0]!.Counts.move ?? 0) > 0);
    await on().ok("service", "update", "-q", ...constraint, "web");
    await comesToPass(made, "web");

    made = await plan("node", "drain", "node2");
    assert.ok((made.Services[0]!.Counts.move ?? 0) > 0 && made.Fits);
    assert.deepEqual(
      made.WithoutANode.Losses.map(({ Node }) => Node.Hostname),
      ["node1"],
      "node1 alone is left for it",
    );
    await on().ok("node", "update", "--availability", "drain", "node2");
    await comesToPass(made, "web");
    await on().ok("node", "update", "--availability", "active", "node2");

    made = await plan("service", "rm", "web");
    assert.deepEqual([made.Services[0]!.Change, made.Services[0]!.Counts.stop], ["remove", 4]);
    await on().ok("service", "rm", "web");
  });

  it("agree on what has no place, and say why", async () => {
    const options = ["--name", "few", "--replicas", "4", "--replicas-max-per-node", "1"];
    const made = await plan("service", "create", ...options, "whoami");
    assert.deepEqual(
      [made.Fits, made.Services[0]!.Counts.wait, made.Services[0]!.Counts.create],
      [false, 1, 3],
    );
    await on().ok("service", "create", "-d", ...options, "whoami");
    await comesToPass(made, "few");
    const { code, stdout } = await creel(fixture.lab).run(["plan", "service", "scale", "few=3"]);
    assert.equal(code, 0);
    assert.match(stdout, /Service few is updated: 3 kept, 1 stopped/);
    assert.match(
      stdout,
      /^Fits with any one node fewer: no\n {2}without node\d: no place for 1 task of few: /m,
    );
    await on().ok("service", "rm", "few");
  });

  it("agree for a stack: what is new, what changes, what stays", async () => {
    const dir = mkdtempSync(join(tmpdir(), "ce-plan-"));
    const file = join(dir, "compose.yaml");
    const compose = (replicas: number, more = "") =>
      writeFileSync(
        file,
        `services:
  front: { image: whoami, networks: [inner], deploy: { replicas: ${replicas} } }
  back: { image: whoami, networks: [inner], deploy: { replicas: 2 } }
${more}networks: { inner: { driver: overlay } }
`,
      );
    const up = async () => {
      const { stdout, stderr, code } = await creel(fixture.lab).run([
        "plan",
        "up",
        "--json",
        "-f",
        file,
        "-p",
        "shop",
      ]);
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as Plan;
    };
    try {
      compose(3);
      let made = await up();
      assert.deepEqual(made.Services.map(({ Name, Change }) => [Name, Change]).sort(), [
        ["shop_back", "create"],
        ["shop_front", "create"],
      ]);
      await creel(fixture.lab).ok("up", "-q", "-f", file, "-p", "shop");
      // Which slot is on which of the nodes hangs on what of the stack is there first.
      const nodes = (places: string[]) => places.map((place) => place.split(" ")[1]).sort();
      for (const name of ["shop_front", "shop_back"])
        await until("the plan's nodes", async () => {
          assert.deepEqual(nodes(await running(name)), nodes(planned(made, name)));
          return true;
        });
      assert.deepEqual((await up()).Services, [], "nothing changes when it is so already");
      compose(2, "  more: { image: whoami }\n");
      made = await up();
      assert.deepEqual(
        made.Services.map(({ Name, Change, Counts }) => [
          Name,
          Change,
          Counts.keep,
          Counts.stop,
          Counts.create,
        ]).sort(),
        [
          ["shop_front", "update", 2, 1, 0],
          ["shop_more", "create", 0, 0, 1],
        ],
      );
      await creel(fixture.lab).ok("down", "-f", file, "-p", "shop");
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it("are refused alike", async () => {
    const refused = ["service", "create", "--name", "x", "--constraint", "node.rle==manager", "whoami"];
    const [plan, done] = await Promise.all([
      creel(fixture.lab).fails("plan", ...refused),
      creel(fixture.lab).fails(...refused),
    ]);
    assert.equal(plan.stderr, done.stderr);
    const { stderr } = await creel(fixture.lab).fails("plan", "service", "rm", "none");
    assert.match(stderr, /none/);
  });

  it("of requests that change no service are refused by name", async () => {
    const rest = fixture.lab.rest("node1");
    const body = { Requests: [{ Method: "POST", Path: "/containers/create" }] };
    await assert.rejects(rest.post("/creel/plan", body), /POST \/containers\/create cannot be planned/);
  });
});
