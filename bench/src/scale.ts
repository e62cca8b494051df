import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { scaleService } from "../../tools/src/demo/service.ts";
import { whoamiImage } from "../../tools/src/image.ts";
import type { Rest } from "../../tools/src/rest.ts";
import type { Bench } from "./bench.ts";
import type { Cleanup } from "./cleanup.ts";
import { addressOf, createService, poll, runningTask, tasksOf } from "./cluster.ts";
import { folder, startCreel } from "./creel.ts";
import { startDockerd } from "./dockerd.ts";
import { buildLoad, loadImage } from "./load.ts";
import { type Measure, measure } from "./measure.ts";
import { find } from "./peers.ts";
import { interleave, type Side } from "./rounds.ts";

const REPLICAS = 50;
const LIMIT_MS = 120_000;

/** A process in a container on the service's network, that tells of each address when it has first answered. */
class Prober {
  #child: ChildProcess;
  #waiting = new Map<string, () => void>();
  #ended: Promise<never>;

  constructor(socket: string, container: string, config: string) {
    const args = ["-H", `unix://${socket}`, "exec", "-i", container, "/load", "probe"];
    const env = { ...process.env, DOCKER_CONFIG: config };
    this.#child = spawn("docker", args, { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin!.on("error", () => {});
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#waiting.get(line)?.());
    this.#ended = new Promise((_, reject) => {
      this.#child.on("exit", (code) => reject(new Error(`the prober ended with ${code}`)));
    });
    this.#ended.catch(() => {});
  }

  answered(address: string): Promise<void> {
    const answer = new Promise<void>((resolve) => this.#waiting.set(address, resolve));
    this.#child.stdin!.write(`${address}\n`);
    const late = delay(LIMIT_MS, undefined, { ref: false }).then(() => {
      throw new Error(`${address} does not answer`);
    });
    return Promise.race([answer, this.#ended, late]);
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}

/** A service of one replica on an overlay network, scaled up and down again; a sample is the way up in seconds. */
class Scaled {
  #rest: Rest;
  #service: string;
  #network: string;
  #prober: Prober;

  private constructor(rest: Rest, service: string, network: string, prober: Prober) {
    this.#rest = rest;
    this.#service = service;
    this.#network = network;
    this.#prober = prober;
  }

  /** `images`: names or ids of whoami and of the load program. An id is taken as it is; a name may be looked for in a registry. */
  static async create(
    rest: Rest,
    socket: string,
    config: string,
    images: { whoami: string; load: string },
    cleanup: Cleanup,
  ): Promise<Scaled> {
    const network = "bench";
    await rest.post("/networks/create", { Name: network, Driver: "overlay" });
    const probe = { name: "probe", image: images.load, args: ["serve", "8080"], network };
    const prober = await createService(rest, probe);
    const service = await createService(rest, { name: "web", image: images.whoami, network });
    const container = (await runningTask(rest, prober)).Status.ContainerStatus!.ContainerID;
    await runningTask(rest, service);
    const process = new Prober(socket, container, config);
    cleanup.add("prober", () => process.end());
    return new Scaled(rest, service, network, process);
  }

  readonly up: Side = async () => {
    const started = performance.now();
    await scaleService(this.#rest, this.#service, REPLICAS);
    const asked = new Map<string, Promise<void>>();
    await poll(`${REPLICAS} running tasks`, async () => {
      for (const task of await tasksOf(this.#rest, this.#service)) {
        if (task.DesiredState !== "running" || task.Status.State !== "running" || asked.has(task.ID))
          continue;
        const answer = this.#prober.answered(`${addressOf(task, this.#network)}:8080`);
        answer.catch(() => {});
        asked.set(task.ID, answer);
      }
      return asked.size >= REPLICAS ? true : undefined;
    });
    await Promise.all(asked.values());
    const took = (performance.now() - started) / 1000;
    await this.#down();
    return took;
  };

  async #down(): Promise<void> {
    await scaleService(this.#rest, this.#service, 1);
    const filters = encodeURIComponent(
      JSON.stringify({ label: [`com.docker.swarm.service.id=${this.#service}`] }),
    );
    await poll("all other containers gone", async () => {
      const left = await this.#rest.get<unknown[]>(`/containers/json?all=1&filters=${filters}`);
      const live = (await tasksOf(this.#rest, this.#service)).filter(
        (task) => task.Status.State === "running",
      );
      return left.length <= 1 && live.length === 1 ? true : undefined;
    });
    // What goes on behind the last answer must not fall into the other side's sample.
    await delay(2000);
  }
}

/** How fast a service grows. */
export const scale: Bench = {
  peers: ["docker", "dockerd", "containerd", "runc"],
  needs: ["docker"],
  rounds: 3,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const archives = [await whoamiImage(), (await loadImage(buildLoad())).archive];
    const names = { whoami: "whoami:latest", load: "creel-bench-load:latest" };
    const lab = await startCreel(join(dir, "c"), 1, 1, cleanup);
    const own = lab.rest("node1");
    for (const archive of archives) await own.post("/images/load", archive);
    const ours = await Scaled.create(own, lab.socket("node1"), dir, names, cleanup);
    let theirs: Scaled | undefined;
    if (find("dockerd")) {
      const { rest, socket, host } = await startDockerd(join(dir, "d"), cleanup);
      for (const archive of archives) await rest.post("/images/load", archive);
      await rest.post("/swarm/init", { ListenAddr: "0.0.0.0:2377", AdvertiseAddr: `${host.address}:2377` });
      // By id, or every task would first look for the image in a registry.
      const id = async (name: string) => (await rest.get<{ Id: string }>(`/images/${name}/json`)).Id;
      const ids = { whoami: await id(names.whoami), load: await id(names.load) };
      theirs = await Scaled.create(rest, socket, dir, ids, cleanup);
    }
    say(`${rounds} rounds of 1 → ${REPLICAS}`);
    const samples = await interleave(rounds, { creel: ours.up, dockerd: theirs?.up });
    return [
      measure(
        { name: `1 → ${REPLICAS} whoami, all run and answer`, unit: "s", better: "less" },
        samples.creel,
        theirs && { name: "dockerd (swarm)", samples: samples.dockerd },
        { of: "ratio", atMost: 0.1 },
      ),
    ];
  },
};
