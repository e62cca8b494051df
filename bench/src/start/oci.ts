import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../../tools/src/root.ts";
import { type Measure, measure, type Pace } from "../measure.ts";
import { find } from "../peers.ts";
import { interleave, type Side } from "../rounds.ts";
import { CLOCK, command, working } from "./command.ts";

/** What runc took on the machine for which the goals in milliseconds were set. */
const RUNC_MS = 21;

/** Podman would ask for more than a machine may allow. */
const LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

/** A bundle in `dir` whose root holds the load program alone. */
function makeBundle(dir: string, program: string): void {
  const rootfs = join(dir, "rootfs");
  mkdirSync(rootfs, { recursive: true });
  copyFileSync(program, join(rootfs, "load"));
  execFileSync(native("creel-runtime"), ["spec", "--bundle", dir]);
  const file = join(dir, "config.json");
  const spec = JSON.parse(readFileSync(file, "utf8")) as {
    ociVersion: string;
    process: { terminal: boolean; args: string[] };
  };
  // The newest that every one of them knows.
  spec.ociVersion = "1.0.2";
  spec.process.terminal = false;
  spec.process.args = ["/load", "now"];
  writeFileSync(file, JSON.stringify(spec));
}

/**
 * `run` of the bundle in `dir` by an OCI runtime's command line. Detached, it ends with the program's output, and the
 * deletion is not measured.
 */
function ociRun(program: string, dir: string, detached = false): Side {
  let count = 0;
  const state = ["--root", join(dir, "state")];
  const how = ["--bundle", join(dir, "bundle"), ...(detached ? ["--detach"] : [])];
  return async () => {
    const id = `creel-bench-${process.pid}-${++count}`;
    const remove = () => spawnSync(program, [...state, "delete", "--force", id], { timeout: 10_000 });
    try {
      const took = await command(program, [...state, "run", ...how, id], CLOCK)();
      if (detached) remove();
      return took;
    } catch (error) {
      remove();
      throw error;
    }
  };
}

/** `podman run --rm` of the bundle's root without a network. */
function podmanRun(podman: string, runtime: string, dir: string): Side {
  const places = ["root", "runroot", "tmpdir"].flatMap((name) => [`--${name}`, join(dir, "podman", name)]);
  const means = [
    "--storage-driver",
    "vfs",
    "--cgroup-manager",
    "cgroupfs",
    "--events-backend",
    "none",
    "--runtime",
    runtime,
  ];
  const how = ["--rm", "--network", "none", "--log-driver", "none", ...LIMITS];
  const what = ["--rootfs", join(dir, "bundle/rootfs"), "/load", "now"];
  return command(podman, [...places, ...means, "run", ...how, ...what], CLOCK);
}

/**
 * How long `creel-runtime run` of a static program takes, beside other runtimes and what the kernel takes for it; and the
 * pace of this machine at it, by runc.
 */
export async function ociMeasures(
  dir: string,
  program: string,
  rounds: number,
  say: (line: string) => void,
): Promise<{ measures: Measure[]; pace: Pace | undefined }> {
  makeBundle(join(dir, "bundle"), program);
  const own = native("creel-runtime");
  const peer = async (name: "runc" | "crun" | "youki", detached = false) => {
    const file = find(name);
    if (file === undefined) return undefined;
    makeBundle(join(dir, name, "bundle"), program);
    return working(name, ociRun(file, join(dir, name), detached), say);
  };
  const sides = {
    creel: ociRun(own, dir),
    floor: command(program, ["floor", join(dir, "bundle/rootfs"), "/load", "now"], CLOCK),
    runc: await peer("runc"),
    crun: await peer("crun"),
    // In the foreground it waits for ever for a program that ended before it began to wait.
    youki: await peer("youki", true),
  };
  const run = await interleave(rounds, sides, 2);
  const ms = { name: "creel-runtime run", unit: "ms", better: "less" } as const;
  const measures = [
    measure(ms, run.creel, sides.runc && { name: "runc", samples: run.runc }, { of: "ratio", atMost: 0.6 }),
    measure(ms, run.creel, { name: "the kernel's floor", samples: run.floor }),
  ];
  if (sides.crun) measures.push(measure(ms, run.creel, { name: "crun", samples: run.crun }));
  if (sides.youki)
    measures.push(measure(ms, run.creel, { name: "youki, without deletion", samples: run.youki }));

  const podman = find("podman");
  const runc = find("runc");
  const withRunc = podman && runc ? await working("podman", podmanRun(podman, runc, dir), say) : undefined;
  if (podman && withRunc) {
    const pods = await interleave(
      Math.ceil(rounds / 3),
      { own: podmanRun(podman, own, dir), runc: withRunc },
      1,
    );
    const name = "podman run --rm with creel-runtime";
    measures.push(measure({ ...ms, name }, pods.own, { name: "podman with runc", samples: pods.runc }));
  }
  return { measures, pace: sides.runc && { program: "runc run", reference: RUNC_MS, samples: run.runc } };
}
