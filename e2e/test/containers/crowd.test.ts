import assert from "node:assert/strict";
import type { Rest } from "../../../tools/src/rest.ts";
import { docker } from "../../src/cli.ts";
import { inventory } from "../../src/crash/inventory.ts";
import { note, seconds, timed } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { strays } from "../../src/host-leaks.ts";
import { busyboxImage } from "../../src/images.ts";
import { until } from "../../src/wait.ts";

const AT_ONCE = 200;
const TOGETHER = 500;
/** Requests under way while the rest is added and all is taken away. */
const STREAMS = 20;

interface Listed {
  Id: string;
  State: string;
}

/** Does `work` for each, some at a time. */
async function each<T>(all: T[], streams: number, work: (one: T) => Promise<unknown>): Promise<void> {
  const rest = [...all];
  await Promise.all(
    Array.from({ length: streams }, async () => {
      for (let one = rest.pop(); one !== undefined; one = rest.pop()) await work(one);
    }),
  );
}

async function create(rest: Rest, name: string): Promise<string> {
  const body = { Image: "busybox", Cmd: ["sleep", "10000"], Labels: { crowd: "yes" } };
  return (await rest.post<{ Id: string }>(`/containers/create?name=${name}`, body)).Id;
}

describe("a crowd of containers on one node", function () {
  this.timeout(180_000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  let empty: string[] = [];

  before(async () => {
    await fixture.lab.rest("node1").post("/images/load", await busyboxImage());
    empty = inventory(fixture.lab, "node1");
  });

  it(`${AT_ONCE} started at once all run`, async () => {
    const rest = fixture.lab.rest("node1");
    const took = await timed(() =>
      Promise.all(
        numbers(0, AT_ONCE).map(async (i) => rest.post(`/containers/${await create(rest, `c${i}`)}/start`)),
      ),
    );
    note(`all run after ${seconds(took)}`);
    const running = await rest.get<Listed[]>("/containers/json");
    assert.equal(running.length, AT_ONCE);
  });

  it(`${TOGETHER} exist together, each with a process and an address of its own, and answer`, async () => {
    const rest = fixture.lab.rest("node1");
    const took = await timed(() =>
      each(numbers(AT_ONCE, TOGETHER), STREAMS, async (i) =>
        rest.post(`/containers/${await create(rest, `c${i}`)}/start`),
      ),
    );
    note(`${TOGETHER - AT_ONCE} more after ${seconds(took)}`);
    const all = await rest.get<Listed[]>("/containers/json?all=1");
    assert.deepEqual([all.length, all.filter(({ State }) => State === "running").length], [500, 500]);
    const pids = new Set<number>();
    const addresses = new Set<string>();
    await each(all, STREAMS, async ({ Id }) => {
      const { State, NetworkSettings } = await rest.get<{
        State: { Pid: number };
        NetworkSettings: { Networks: { bridge: { IPAddress: string } } };
      }>(`/containers/${Id}/json`);
      pids.add(State.Pid);
      addresses.add(NetworkSettings.Networks.bridge.IPAddress);
    });
    assert.deepEqual([pids.size, addresses.size], [TOGETHER, TOGETHER]);
    const cli = docker(fixture.lab);
    assert.equal((await cli.ok("ps", "-q", "--filter", "label=crowd")).split("\n").length, TOGETHER);
    assert.equal(
      await cli.ok("exec", "c499", "hostname"),
      (await cli.ok("ps", "-qf", "name=^/c499$")).trim(),
    );
    assert.deepEqual(await strays(fixture.lab, "node1"), []);
  });

  it("stops some, removes all, and keeps nothing of them", async () => {
    const rest = fixture.lab.rest("node1");
    await each(numbers(0, 50), STREAMS, (i) => rest.post(`/containers/c${i}/stop?t=0`));
    assert.equal((await rest.get<Listed[]>("/containers/json")).length, TOGETHER - 50);
    const took = await timed(() =>
      each(numbers(0, TOGETHER), STREAMS, (i) => rest.delete(`/containers/c${i}?force=1`)),
    );
    note(`all removed after ${seconds(took)}`);
    let now: string[] = [];
    await until("nothing is left", async () => {
      now = inventory(fixture.lab, "node1");
      return now.join() === empty.join();
    }).catch(() => assert.deepEqual(now, empty));
  });
});
