import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { SECOND } from "../../src/crash/errands.ts";
import { inventory } from "../../src/crash/inventory.ts";
import { Killer } from "../../src/crash/killer.ts";
import type { Victim } from "../../src/crash/programs.ts";
import { User } from "../../src/crash/user.ts";
import { note, seconds } from "../../src/faults.ts";
import { useLab } from "../../src/fixture.ts";
import { strays } from "../../src/host-leaks.ts";
import { busyboxImage } from "../../src/images.ts";
import { randomFrom } from "../../src/random.ts";
import { until } from "../../src/wait.ts";

/** `CREEL_TEST_SEED=n CREEL_TEST_POINTS=2000` repeats a run, or makes it longer. */
const SEED = Number(process.env.CREEL_TEST_SEED ?? Math.floor(Math.random() * 1e9));
const POINTS = Number(process.env.CREEL_TEST_POINTS ?? 200);
const USERS = 6;
/** A kill comes at most so long after the one before, or after the daemon answers again. */
const LONGEST_WAIT_MS = 100;
/** Of ten kills of creeld or the engine, those that are followed by another before the daemon answers again. */
const SOON_AGAIN = 3;
/** Of each twenty kills; a creeld takes longest to come back. */
const VICTIMS: Victim[] = [...Array<Victim>(9).fill("engine"), ...Array<Victim>(10).fill("shim"), "creeld"];
/** Room for as many addresses as there are users, and a few: lost ones are missed soon. */
const SUBNET = "10.99.0.0/28";

describe(`crashes of creeld, engine and shims (seed ${SEED})`, function () {
  this.timeout(60_000 + POINTS * 2000);
  const fixture = useLab({ nodes: 1, managers: 1, join: false });

  it(`lose and leave nothing, at ${POINTS} random points`, async () => {
    const { lab } = fixture;
    const rest = lab.rest("node1");
    const random = randomFrom(SEED);
    const killer = new Killer(lab, "node1", random);
    await rest.post("/images/load", await busyboxImage());
    const before = inventory(lab, "node1");
    await rest.post("/networks/create", { Name: "crash", IPAM: { Config: [{ Subnet: SUBNET }] } });
    await rest.post("/networks/create", { Name: SECOND });
    const users = Array.from({ length: USERS }, (_, i) => {
      const restarts = i % 3 === 1;
      const ports = i % 2 === 0 ? { "80/tcp": [{ HostPort: String(20_000 + i) }] } : {};
      const spec = {
        Image: "busybox",
        Cmd: ["sleep", "1000"],
        Volumes: { "/scratch": {} },
        HostConfig: {
          NetworkMode: "crash",
          PortBindings: ports,
          RestartPolicy: { Name: restarts ? "unless-stopped" : "no" },
        },
      };
      return new User(`user${i}`, spec, restarts, rest, randomFrom(SEED + i + 1), killer);
    });
    const begun = performance.now();
    const done = new AbortController();
    const all = users.map(async (user) => {
      while (!done.signal.aborted) await user.step();
    });
    const failed = Promise.all(all).then(() => {});
    for (let point = 0; point < POINTS; ) {
      await Promise.race([delay(random(LONGEST_WAIT_MS)), failed]);
      const victim = VICTIMS[random(VICTIMS.length)]!;
      if (killer.kill(victim)) point++;
      if (victim === "shim" || random(10) < SOON_AGAIN) continue;
      await Promise.race([until("creeld and engine answer", () => rest.get("/containers/json")), failed]);
    }
    done.abort();
    await failed;
    const answers = (kind: "done" | "refused" | "lost") =>
      users.reduce((sum, user) => sum + user.answers[kind], 0);
    note(`killed in ${seconds(performance.now() - begun)}: ${JSON.stringify(killer.kills)}`);
    note(
      `${answers("done")} operations done, ${answers("refused")} refused, ${answers("lost")} not answered`,
    );
    await until("creeld and engine answer", () => rest.get("/containers/json"));
    await until("what runs is all there is", async () => {
      const found = await strays(lab, "node1");
      if (found.length > 0) throw new Error(found.join("\n"));
      return true;
    });
    for (const user of users) await user.leave();
    for (const { Id } of await rest.get<{ Id: string }[]>("/images/json?all=1")) {
      // of commits that were not acknowledged, but done
      await rest.delete(`/images/${Id}?force=1`).catch(() => {});
    }
    await rest.post("/images/load", await busyboxImage());
    const { Containers } = await rest.get<{ Containers: object }>("/networks/crash");
    assert.deepEqual(Containers, {});
    await rest.delete("/networks/crash");
    await rest.delete(`/networks/${SECOND}`);
    let now: string[] = [];
    await until("all is as it was before", async () => {
      now = inventory(lab, "node1");
      return now.join() === before.join();
    }).catch(() => assert.deepEqual(now, before));
  });
});
