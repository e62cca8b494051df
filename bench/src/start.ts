import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Rest } from "../../tools/src/rest.ts";
import { root } from "../../tools/src/root.ts";
import type { Bench } from "./bench.ts";
import { folder, startCreel } from "./creel.ts";
import { startDockerd } from "./dockerd.ts";
import { buildLoad, loadImage } from "./load.ts";
import { type Measure, measure } from "./measure.ts";
import { find } from "./peers.ts";
import { interleave, type Side } from "./rounds.ts";

const RUN_LIMIT_MS = 30_000;

/** Milliseconds of a command that ends by itself and whose output is `expected`. */
function command(program: string, args: string[], config: string, expected: RegExp): Side {
  return () =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, DOCKER_CONFIG: config, DOCKER_CLI_HINTS: "false" };
      const started = performance.now();
      const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], timeout: RUN_LIMIT_MS });
      let said = "";
      child.stdout.on("data", (chunk) => (said += chunk));
      child.stderr.on("data", (chunk) => (said += chunk));
      child.on("error", reject);
      child.on("close", (code) => {
        const took = performance.now() - started;
        if (code === 0 && expected.test(said)) resolve(took);
        else reject(new Error(`${program} ${args.join(" ")}: exit ${code}: ${said.slice(-500)}`));
      });
    });
}

/** `docker run --rm` of a program that ends at once, client included. */
function dockerRun(socket: string, image: string, config: string, runtime?: string): Side {
  const options = runtime === undefined ? [] : ["--runtime", runtime];
  const args = ["-H", `unix://${socket}`, "run", "--rm", ...options, image, "now"];
  return command("docker", args, config, /^\d+\s*$/);
}

/** Milliseconds from the call that creates a container to the first instruction of its process, by the REST API. */
function toFirstInstruction(rest: Rest, image: string): Side {
  return async () => {
    const started = process.hrtime.bigint();
    const { Id } = await rest.post<{ Id: string }>("/containers/create", { Image: image, Cmd: ["now"] });
    try {
      await rest.post(`/containers/${Id}/start`);
      await rest.post(`/containers/${Id}/wait`);
      const log = await rest.get<string>(`/containers/${Id}/logs?stdout=1`);
      const clock = /\d{6,}/.exec(String(log))?.[0];
      if (clock === undefined) throw new Error(`the container printed no clock: ${JSON.stringify(log)}`);
      return Number(BigInt(clock) - started) / 1e6;
    } finally {
      await rest.delete(`/containers/${Id}?force=1`);
    }
  };
}

/** Whether a side can be measured at all on this machine (Debian's crun refuses hybrid cgroups). */
async function works(side: Side, tell: (why: string) => void): Promise<boolean> {
  return await side().then(
    () => true,
    (error: Error) => {
      tell(error.message.split("\n")[0]!);
      return false;
    },
  );
}

/** How fast a container starts, and the client. */
export const start: Bench = {
  peers: ["docker", "dockerd", "containerd", "runc", "crun"],
  needs: ["docker"],
  rounds: 30,
  async run({ cleanup, rounds, say }): Promise<Measure[]> {
    const dir = folder(cleanup);
    const { tag, archive } = await loadImage(buildLoad());
    const lab = await startCreel(join(dir, "c"), 1, 1, cleanup);
    const own = lab.rest("node1");
    await own.post("/images/load", archive);
    const peer = find("dockerd") ? await startDockerd(join(dir, "d"), cleanup) : undefined;
    if (peer) await peer.rest.post("/images/load", archive);
    say(`${rounds} rounds`);
    const crun = peer && find("crun") ? dockerRun(peer.socket, tag, dir, "crun") : undefined;
    const crunWorks = crun && (await works(crun, (why) => say(`not compared with crun: ${why}`)));
    const run = await interleave(
      rounds,
      {
        creel: dockerRun(lab.socket("node1"), tag, dir),
        runc: peer && dockerRun(peer.socket, tag, dir),
        crun: crunWorks ? crun : undefined,
      },
      2,
    );
    const first = await interleave(
      rounds,
      { creel: toFirstInstruction(own, tag), runc: peer && toFirstInstruction(peer.rest, tag) },
      2,
    );
    const ps = (program: string) =>
      command(program, ["-H", `unix://${lab.socket("node1")}`, "ps"], dir, /^CONTAINER ID/);
    const client = await interleave(rounds, { creel: ps(join(root, "bin/creel")), docker: ps("docker") }, 2);
    const ms = { unit: "ms", better: "less" } as const;
    const dockerd = (samples?: number[], how = "") => samples && { name: `dockerd${how}`, samples };
    const measures = [
      measure({ name: "docker run --rm", ...ms }, run.creel, dockerd(run.runc), {
        of: "ratio",
        atMost: 0.25,
      }),
      measure({ name: "create + start to the first instruction", ...ms }, first.creel, dockerd(first.runc)),
      measure(
        { name: "creel ps, from a checkout", ...ms },
        client.creel,
        { name: "docker ps", samples: client.docker },
        { of: "value", atMost: 60 },
      ),
    ];
    if (run.crun)
      measures.push(measure({ name: "docker run --rm", ...ms }, run.creel, dockerd(run.crun, " with crun")));
    return measures;
  },
};
