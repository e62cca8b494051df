import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { answers } from "../../../tools/src/demo/requests.ts";
import { isUp } from "../../../tools/src/lab/state.ts";
import { audit } from "../../src/audit.ts";
import { docker } from "../../src/cli.ts";
import {
  ids,
  nodesBy,
  note,
  type Program,
  processIds,
  programFile,
  runningTasks,
  serveWeb,
} from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { randomFrom } from "../../src/random.ts";
import { until } from "../../src/wait.ts";

const ALL = ["node1", "node2", "node3", "node4"];
const PORT = 8080;
/** `CREEL_TEST_SEED=n CREEL_TEST_ROUNDS=20` repeats a run, or makes it longer. */
const SEED = Number(process.env.CREEL_TEST_SEED ?? Math.floor(Math.random() * 1e9));
const ROUNDS = Number(process.env.CREEL_TEST_ROUNDS ?? 1);
const FAULTS_A_ROUND = 5;

describe(`random faults (seed ${SEED})`, function () {
  this.timeout(ROUNDS * 240_000);
  const fixture = useLab({ nodes: 4, managers: 3 });
  const random = randomFrom(SEED);
  const cutOff = new Set<string>();
  /** Replicas: as acknowledged last, or as asked for since. */
  const possible = new Set([4]);

  before(() => serveWeb(fixture.lab, PORT));

  /** Where it runs: it may just be starting again. */
  function kill(node: string, program: Program): void {
    const { lab } = fixture;
    const file = programFile(lab, node, program);
    if (existsSync(file)) lab.exec(node, ["kill", "-9", readFileSync(file, "utf8")]);
  }

  async function mend(): Promise<void> {
    const { lab } = fixture;
    for (const node of cutOff) lab.heal(node);
    cutOff.clear();
    await Promise.all(lab.nodes.filter((node) => !isUp(node)).map(({ name }) => lab.restart(name)));
  }

  /** One fault, or a change by a user; in words. */
  async function happen(): Promise<string> {
    const { lab } = fixture;
    const node = ALL[random(ALL.length)]!;
    const what = random(6);
    const pause = random(3000);
    const up = isUp(lab.node(node));
    if (what <= 1 && up) kill(node, what === 0 ? "creeld" : "engine");
    else if (what === 2 && up) {
      await lab.kill(node);
      cutOff.delete(node);
    } else if (what === 3 && up && !cutOff.has(node)) {
      lab.cut(node);
      cutOff.add(node);
    } else if (what === 4) await mend();
    else {
      const replicas = 2 + random(6);
      const via = ALL[random(3)]!;
      const args = ["service", "scale", "-d", `web=${replicas}`];
      const { code } = await docker(lab, via).run(args, { timeout: 60_000 });
      if (code === 0) possible.clear();
      // what was refused for want of an answer may have been done all the same
      possible.add(replicas);
      await delay(pause);
      return `scale to ${replicas} via ${via}${code === 0 ? "" : " (refused)"}`;
    }
    await delay(pause);
    return `${["kill creeld", "kill engine", "lose", "cut", "mend"][what]} ${node}`;
  }

  for (let round = 1; round <= ROUNDS; round++) {
    it(`round ${round}: in the end all is as it was told`, async () => {
      const { lab } = fixture;
      for (let i = 0; i < FAULTS_A_ROUND; i++) note(await happen());
      await mend();
      for (const node of ALL) await until(`${node} answers`, () => lab.rest(node).get("/info"));
      await until("all are ready", async () => {
        const states = [...(await nodesBy(lab, "node1")).values()].map(({ Status }) => Status.State);
        return states.length === 4 && states.every((state) => state === "ready");
      });
      const spec = await docker(lab).ok(
        "service",
        "inspect",
        "-f",
        "{{.Spec.Mode.Replicated.Replicas}}",
        "web",
      );
      const wanted = Number(spec);
      assert.ok(possible.has(wanted), `${wanted} replicas; ${[...possible].join(" or ")} were asked for`);
      await until("what runs is what should run", async () => {
        const tasks = ids(await runningTasks(lab, "node1", "web"));
        const running = await Promise.all(ALL.map((node) => processIds(lab, node)));
        const names = running.flatMap((each) => [...each.keys()]).map((name) => name.split(".").at(-1)!);
        return tasks.length === wanted && tasks.join() === names.sort().join();
      });
      await until("all nodes answer", async () => (await answers([...lab.nodes], PORT, 20)).failed === 0);
      await audit(lab);
      assert.equal((await answers([...lab.nodes], PORT, 30)).tasks.size > 0, true);
    });
  }
});
