import { join } from "node:path";
import { root } from "../../../tools/src/root.ts";
import type { Bench } from "../bench.ts";
import { folder, startCreel } from "../creel.ts";
import { startDockerd } from "../dockerd.ts";
import { buildLoad, loadImage } from "../load.ts";
import { type Measure, measure } from "../measure.ts";
import { find } from "../peers.ts";
import { interleave } from "../rounds.ts";
import { CLOCK, command, working } from "./command.ts";
import { engineMeasures } from "./engine.ts";
import { ociMeasures } from "./oci.ts";

/** What docker's client by itself took on the machine for which the goals in milliseconds were set. */
const DOCKER_CLIENT_MS = 9;

/** How fast a container starts: by the OCI runtime, by the engine, by the client. */
export const start: Bench = {
  peers: ["docker", "dockerd", "containerd", "runc", "crun", "youki", "podman"],
  needs: ["docker"],
  rounds: 30,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const program = buildLoad();
    say(`${rounds} rounds`);
    const { measures, pace } = await ociMeasures(join(dir, "oci"), program, rounds, say);

    const { tag, archive } = await loadImage(program);
    const lab = await startCreel(join(dir, "c"), 1, 1, cleanup);
    const own = lab.rest("node1");
    await own.post("/images/load", archive);
    const peer = find("dockerd") ? await startDockerd(join(dir, "d"), cleanup) : undefined;
    if (peer) await peer.rest.post("/images/load", archive);
    measures.push(...(await engineMeasures(own, peer?.rest, tag, rounds, pace)));

    const env = { DOCKER_CONFIG: dir, DOCKER_CLI_HINTS: "false" };
    const ms = { unit: "ms", better: "less" } as const;
    const dockerRun = (socket: string, ...options: string[]) =>
      command("docker", ["-H", `unix://${socket}`, "run", "--rm", ...options, tag, "now"], CLOCK, env);
    const crun = peer && find("crun") ? dockerRun(peer.socket, "--runtime", "crun") : undefined;
    const sides = {
      creel: dockerRun(lab.socket("node1")),
      runc: peer && dockerRun(peer.socket),
      crun: await working("dockerd with crun", crun, say),
    };
    const run = await interleave(rounds, sides, 2);
    const name = "docker run --rm";
    measures.push(
      measure({ name, ...ms }, run.creel, sides.runc && { name: "dockerd", samples: run.runc }, {
        of: "ratio",
        atMost: 0.2,
      }),
    );
    if (sides.crun)
      measures.push(measure({ name, ...ms }, run.creel, { name: "dockerd with crun", samples: run.crun }));

    const ps = (file: string) =>
      command(file, ["-H", `unix://${lab.socket("node1")}`, "ps"], /^CONTAINER ID/, env);
    const clients = {
      creel: ps(join(root, "bin/creel")),
      docker: ps("docker"),
      alone: command("docker", ["--version"], /^Docker version/, env),
      node: command(process.execPath, ["--eval", "0"], /^$/, env),
    };
    const client = await interleave(rounds, clients, 2);
    const listing = { name: "creel ps, from a checkout", ...ms };
    measures.push(
      measure(
        listing,
        client.creel,
        { name: "docker ps", samples: client.docker },
        {
          of: "value",
          atMost: 60,
          pace: { program: "docker --version", reference: DOCKER_CLIENT_MS, samples: client.alone },
        },
      ),
      measure(listing, client.creel, { name: "bare Node", samples: client.node }),
    );
    return measures;
  },
};
