// The main job: a cluster on this machine, a scaled service, load-balanced answers.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { live } from "./src/demo/live.ts";
import { answers, table } from "./src/demo/requests.ts";
import { converged, createService, scaleService } from "./src/demo/service.ts";
import { whoamiImage } from "./src/image.ts";
import { Lab } from "./src/lab/lab.ts";
import { root } from "./src/root.ts";

const PORT = 8080;
const once = process.argv.includes("--once");
const say = (line: string) => console.log(`· ${line}`);
const unknown = process.argv.slice(2).filter((word) => word !== "--once");
if (unknown.length > 0) {
  console.error(
    `creel: unknown option ${unknown.join(" ")}; npm start takes --once: show everything once, then end`,
  );
  process.exit(2);
}

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupted.abort());

const dir = mkdtempSync(join(tmpdir(), "creel-"));
let lab: Lab | undefined;

async function main(): Promise<void> {
  say(`making three hosts in ${dir}`);
  lab = await Lab.up({ dir, nodes: 3, managers: 3, join: true, progress: say });
  const image = await whoamiImage();
  await Promise.all(lab.nodes.map((node) => lab!.rest(node.name).post("/images/load", image)));
  say(`image whoami:latest (${(image.length / 1024).toFixed(0)} KiB) is on each host`);

  const rest = lab.rest("node1");
  const id = await createService(rest, { name: "whoami", image: "whoami:latest", replicas: 3, port: PORT });
  await converged(rest, id, 3, interrupted.signal);
  say(`service whoami runs 3 replicas, published on port ${PORT} of every host`);
  await scaleService(rest, id, 6);
  await converged(rest, id, 6, interrupted.signal);
  say("scaled to 6 replicas");

  const hosts = lab.nodes.map((node) => ({ name: node.name, address: node.address }));
  const tally = await answers(hosts, PORT, 60, interrupted.signal);
  console.log(`\n${table(tally)}\n`);
  if (tally.failed > 0) throw new Error(`${tally.failed} requests failed: see ${dir}/node*/creeld.log`);
  const answered = tally.tasks.size;
  if (answered !== 6) throw new Error(`only ${answered} of 6 replicas answered`);
  console.log(
    `3 hosts, 6 replicas: ${tally.total} requests to 3 addresses, answered by all ${answered} replicas in turn`,
  );
  if (once) return;

  console.log("\nJoin in from a second terminal:");
  console.log(`  docker -H unix://${lab.socket("node1")} service ls`);
  console.log(`  docker -H unix://${lab.socket("node2")} service scale whoami=9`);
  console.log(`  ${join(root, "bin/creel")} -H unix://${lab.socket("node3")} node ls`);
  console.log(`  curl http://${hosts[0]!.address}:${PORT}/`);
  console.log(`  tools/lab kill --dir ${dir} node3\n`);
  await live(lab, hosts, PORT, interrupted.signal);
}

async function tidyUp(): Promise<void> {
  if (lab !== undefined) {
    if (!once) say("taking the cluster down");
    await lab.down();
  }
  rmSync(dir, { recursive: true, force: true });
}

let failure: Error | undefined;
try {
  await main();
} catch (error) {
  if (!interrupted.signal.aborted) failure = error as Error;
}
try {
  if (failure === undefined || process.env.CREEL_KEEP === undefined) await tidyUp();
} catch (error) {
  failure ??= error as Error;
}
if (failure !== undefined) {
  console.error(`creel: ${failure.message}`);
  console.error(
    "creel: run it again with CREEL_KEEP=1 to keep the hosts' logs; `tools/lab down --dir DIR` removes them then",
  );
}
process.exit(failure === undefined ? 0 : 1);
